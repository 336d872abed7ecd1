"""Sources that are no local files: a real S3 server, standard input, and Arrow streams."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import streamnorm as sn
from streamnorm.errors import SourceError
from streamnorm.files import location_of


def numbers(n=3000, seed=0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table({"x": rng.normal(size=n), "y": pa.array(rng.integers(0, 99, n), mask=rng.random(n) < 0.1)})


@pytest.fixture(scope="module")
def store():
    """Start an S3 server of this machine's and give the settings that find it."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"127.0.0.1:{server.get_host_and_port()[1]}"
    settings = f"scheme=http&endpoint_override={address}&region=us-east-1&allow_bucket_creation=true"
    filesystem, _ = fs.FileSystem.from_uri(f"s3://key:secret@bucket?{settings}")
    filesystem.create_dir("bucket")
    for part in range(3):
        with filesystem.open_output_stream(f"bucket/day={part}/part.parquet") as file:
            pq.write_table(numbers(seed=part), file, row_group_size=700)
    with filesystem.open_output_stream("bucket/one.csv") as file:
        pv.write_csv(numbers(), file)
    with filesystem.open_output_stream("bucket/one.arrow") as file:
        feather.write_feather(numbers(), file, chunksize=500)
    yield f"?{settings}"
    server.stop()


@pytest.fixture
def whole() -> sn.TableNormalizer:
    return sn.TableNormalizer().fit(pa.concat_tables([numbers(seed=part) for part in range(3)]))


def test_a_folder_of_a_store_is_fitted_and_written_here(store, whole, tmp_path):
    fitted = sn.fit(f"s3://key:secret@bucket/day=0{store}", state=tmp_path / "s.json")
    assert fitted == sn.TableNormalizer().fit(numbers())
    days = [f"s3://key:secret@bucket/day={part}{store}" for part in range(3)]
    fitted = sn.fit(days, state=tmp_path / "s.json", update=True)
    assert fitted == whole
    written = sn.transform(whole, f"s3://key:secret@bucket/day=0/part.parquet{store}", tmp_path / "o.parquet")
    assert pq.read_table(written[0]) == whole.transform(numbers())
    record = json.loads((tmp_path / "s.json").read_text())["sources"]
    assert [entry["location"] for entry in record] == [f"s3://bucket/day={part}/part.parquet" for part in range(3)]
    assert "secret" not in (tmp_path / "s.json").read_text()


@pytest.mark.parametrize("name", ["one.csv", "one.arrow", "one.*"])
def test_every_kind_of_file_in_a_store(store, name):
    one = sn.TableNormalizer().fit(numbers())
    assert sn.fit(f"s3://key:secret@bucket/{name}{store}") == (one + one if "*" in name else one)


def test_layout_of_a_store_is_kept(store, whole, tmp_path):
    sn.transform(whole, f"s3://key:secret@bucket/{store}", tmp_path / "out")
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("[!.]*.*"))
    assert found == ["day=0/part.parquet", "day=1/part.parquet", "day=2/part.parquet", "one.arrow", "one.csv"]


@pytest.mark.parametrize("name", ["none.csv", "none/", "day=0/*.csv"])
def test_what_is_not_in_a_store_is_an_error_without_the_secret(store, name):
    with pytest.raises(SourceError, match=r"^there is no .*s3://bucket/") as error:
        sn.fit(f"s3://key:secret@bucket/{name}{store}")
    assert "secret" not in str(error.value)


def test_a_store_that_does_not_answer_is_an_error(tmp_path):
    with pytest.raises(SourceError, match=r"^s3://bucket/x cannot be listed: .*check the address"):
        sn.fit("s3://key:secret@bucket/x?scheme=http&endpoint_override=127.0.0.1:9&connect_timeout=1&request_timeout=1")


def written(kind: str) -> bytes:
    table, sink = numbers(), io.BytesIO()
    if kind == "csv":
        pv.write_csv(table, sink)
    elif kind == "parquet":
        pq.write_table(table, sink)
    elif kind == "arrow":
        feather.write_feather(table, sink)
    else:
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table, max_chunksize=400)
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow", "arrows"])
def test_standard_input(monkeypatch, kind, tmp_path):
    for _ in range(2):  # the same content is counted once
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written(kind))))
        fitted = sn.fit("-", state=tmp_path / "s.json", update=True)
        assert fitted == sn.TableNormalizer().fit(numbers())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written(kind))))
    assert sn.transform(fitted, "-", tmp_path / "o.parquet") == [tmp_path / "o.parquet"]
    assert pq.read_metadata(tmp_path / "o.parquet").num_rows == 3000


def test_nothing_on_standard_input_is_an_error(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    with pytest.raises(SourceError, match="nothing came from standard input"):
        sn.fit("-")


def test_arrow_streams_stay_streams(tmp_path):
    (tmp_path / "in.arrows").write_bytes(written("arrows"))
    fitted = sn.fit(tmp_path / "in.arrows")
    sn.transform(fitted, tmp_path / "in.arrows", tmp_path / "out.arrows")
    with pa.ipc.open_stream(tmp_path / "out.arrows") as stream:
        assert stream.read_all() == fitted.transform(numbers())


def test_partitions_of_a_folder_keep_their_places(tmp_path):
    pq.write_to_dataset(numbers().append_column("k", pa.array(np.arange(3000) % 3)), tmp_path / "in", ["k"])
    fitted = sn.fit(tmp_path / "in")
    assert fitted == sn.TableNormalizer().fit(numbers())
    sn.transform(fitted, tmp_path / "in", tmp_path / "out")
    back = pq.read_table(tmp_path / "out")
    assert sorted(set(back["k"].to_pylist())) == [0, 1, 2]
    assert back.num_rows == 3000


@pytest.mark.parametrize(
    ("uri", "location"),
    [
        ("s3://key:secret@bucket/a.csv?region=x", "s3://bucket/a.csv"),
        ("gs://anonymous@bucket/a.csv", "gs://bucket/a.csv"),
        # Azure has a container or an account there, without which two files would be taken for one
        ("abfs://one@account.dfs.core.windows.net/a.csv?sig=secret", "abfs://one@account.dfs.core.windows.net/a.csv"),
        ("abfs://account:secret@one/a.csv", "abfs://account@one/a.csv"),
        ("abfss://one/a.csv", "abfss://one/a.csv"),
    ],
)
def test_a_location_names_the_place_and_no_secret(uri, location):
    assert location_of(uri) == location
