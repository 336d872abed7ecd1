"""The guide's recipes for streams are run as they stand, against the real thing."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import streamnorm as sn

GUIDE = (Path(sn.__file__).parent / "docs" / "guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE.split("### Streams from elsewhere")[1].split("\n## ")[0], re.DOTALL)
TABLE = pa.table({"price": np.random.default_rng(3).normal(size=5000)})


def recipe(library: str) -> str:
    (found,) = [block for block in BLOCKS if library in block.splitlines()[0]]
    return found


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_recipe_is_run():
    assert [block.split()[1].partition(".")[0] for block in BLOCKS] == [
        "pyarrow", "duckdb", "adbc_driver_sqlite", "datasets", "torch",
    ]  # fmt: skip


def test_flight():
    flight = pytest.importorskip("pyarrow.flight")

    class Prices(flight.FlightServerBase):
        def do_get(self, context, ticket):
            return flight.RecordBatchStream(TABLE.to_reader(max_chunksize=1000))

    names = {"normalizer": sn.TableNormalizer()}
    with Prices("grpc://127.0.0.1:0") as server:
        exec(recipe("pyarrow"), names | {"location": f"grpc://127.0.0.1:{server.port}"}, own := {})
    assert names["normalizer"] == sn.TableNormalizer().fit(TABLE)
    exec(recipe("pyarrow").split("\n\n\n")[1], names | {"flight": flight}, own)
    with (
        own["Normalising"]("grpc://127.0.0.1:0") as server,
        flight.connect(f"grpc://127.0.0.1:{server.port}") as client,
    ):
        writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(b"normalise"))
        with writer:
            writer.begin(TABLE.schema)
            for batch in TABLE.to_batches(max_chunksize=1000):
                writer.write_batch(batch)
            writer.done_writing()
            assert reader.read_all().combine_chunks() == names["normalizer"].transform(TABLE).combine_chunks()


def test_duckdb(place):
    duckdb = pytest.importorskip("duckdb")
    for end in (3000, 5000, 5000):
        with duckdb.connect("prices.db") as connection:
            part = TABLE.append_column("id", pa.array(range(5000), pa.int64())).slice(0, end)  # noqa: F841
            connection.execute("CREATE OR REPLACE TABLE prices AS FROM part")
        exec(recipe("duckdb"), {"sn": sn, "database": "prices.db"})
        whole = sn.TableNormalizer().fit(TABLE.slice(0, end))
        assert sn.load("duckdb.json") == whole
        with duckdb.connect("prices.db") as connection:
            written = connection.execute("SELECT price FROM normalised ORDER BY id").fetchall()
        assert [price for (price,) in written] == whole.transform(TABLE.slice(0, end))["price"].to_pylist()


def test_adbc(place):
    dbapi = pytest.importorskip("adbc_driver_sqlite.dbapi")
    with dbapi.connect("prices.sqlite") as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("prices", TABLE)
        connection.commit()
    normalizer = sn.TableNormalizer()
    exec(recipe("adbc"), {"normalizer": normalizer, "database": "prices.sqlite"})
    assert normalizer == sn.TableNormalizer().fit(TABLE)


def test_hugging_face(place, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(place / "cache"))
    pytest.importorskip("datasets")
    files = [str(place / f"{number}.parquet") for number in range(2)]
    for number, file in enumerate(files):
        pq.write_table(TABLE.slice(2500 * number, 2500), file)

    def stopped(batches):
        yield from itertools.islice(batches, 3)
        raise KeyboardInterrupt

    script = recipe("datasets")
    with pytest.raises(KeyboardInterrupt):
        often = script.replace("dataset.iter(1000)", "stopped(dataset.iter(1000))").replace("every=10", "every=0")
        exec(often, {"sn": sn, "files": files, "stopped": stopped})
    assert sn.load("huggingface.json").positions_.of("train").next == 3000
    exec(script, {"sn": sn, "files": files})
    assert sn.load("huggingface.json") == sn.TableNormalizer().fit(TABLE)


def test_torch(place):
    torch = pytest.importorskip("torch", reason="needs the extra 'peers'")
    rows = torch.tensor(TABLE["price"].to_numpy()).reshape(-1, 1)
    for end in (3000, 5000):
        exec(recipe("torch"), {"sn": sn, "rows": rows[:end]})
        assert sn.load("torch.json") == sn.StandardScaler().fit(rows[:end].numpy())
