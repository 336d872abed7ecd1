"""Jobs over files against one fit in memory, and what they must leave alone."""

from __future__ import annotations

import datetime
import decimal

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
import pytest
from samples import sample
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import DataError, OutputError, SourceError
from streamnorm.jobs.forget import forget


def numbers(n=5000, seed=0) -> pa.Table:
    rng = np.random.default_rng(seed)
    return pa.table(
        {
            "normal": rng.normal(size=n),
            "far": sample("few far off", n, seed),
            "count": pa.array(rng.integers(-(2**60), 2**60, n), mask=rng.random(n) < 0.2),
            "small": rng.integers(0, 9, n).astype(np.int8),
        }
    )


def mixed(n=100) -> pa.Table:
    days = pa.array([datetime.date(2020, 1, 1 + i % 28) for i in range(n)])
    schema = pa.schema(
        [
            pa.field("id", pa.string(), metadata={"about": "the id"}),
            pa.field("price", pa.float64(), metadata={"unit": "EUR"}),
            pa.field("day", pa.date32()),
            pa.field("single", pa.float32()),
            pa.field("list", pa.list_(pa.int64())),
            pa.field("struct", pa.struct([("a", pa.int64()), ("b", pa.string())])),
            pa.field("kind", pa.dictionary(pa.int32(), pa.string())),
            pa.field("raw", pa.binary()),
            pa.field("flag", pa.bool_()),
            pa.field("money", pa.decimal128(12, 2)),
            pa.field("when", pa.timestamp("ms", "UTC")),
        ],
        metadata={"table": "mixed"},
    )
    columns = [
        pa.array([f"{i:05}" if i % 7 else None for i in range(n)]),
        pa.array([i * 0.1 if i % 5 else None for i in range(n)]),
        days,
        pa.array([float(i) for i in range(n)], pa.float32()),
        pa.array([[i, None] if i % 3 else None for i in range(n)], pa.list_(pa.int64())),
        pa.array([{"a": i, "b": None} for i in range(n)], schema.field("struct").type),
        pa.array(["x", None] * (n // 2)).dictionary_encode(),
        pa.array([b"\0\xff"] * n),
        pa.array([True, None] * (n // 2)),
        pa.array([decimal.Decimal(i) / 4 for i in range(n)], pa.decimal128(12, 2)),
        pa.array(range(n), pa.int64()).cast(pa.timestamp("ms", "UTC")),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


@pytest.fixture(scope="module")
def whole():
    return sn.TableNormalizer().fit(numbers())


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("cuts", [[2500], [1, 7, 7, 4999], list(range(0, 5000, 333))])
@pytest.mark.parametrize("group", [100, 10**6])
def test_files_rows_groups_and_threads_do_not_matter(tmp_path, whole, threads, cuts, group):
    edges = [0, *cuts, 5000]
    order = np.random.default_rng(len(cuts)).permutation(len(edges) - 1)
    for name, i in enumerate(order):
        part = numbers().slice(edges[i], edges[i + 1] - edges[i])
        pq.write_table(part, tmp_path / f"{name}.parquet", row_group_size=group)
    assert sn.fit(tmp_path, threads=threads) == whole


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "arrow", "parquet"])
def test_the_format_does_not_matter(tmp_path, whole, kind):
    path, table = tmp_path / f"in.{kind}", numbers()
    if kind == "csv.gz":
        with pa.CompressedOutputStream(str(path), "gzip") as file:
            pv.write_csv(table, file)
    elif kind == "csv":
        pv.write_csv(table, path)
    elif kind == "arrow":
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table, max_chunksize=777)
    else:
        pq.write_table(table, path)
    assert sn.fit(path) == whole


def test_what_is_not_normalised_is_kept(tmp_path):
    table = mixed()
    (tmp_path / "in" / "year=2020").mkdir(parents=True)
    compression = "zstd"
    pq.write_table(table, tmp_path / "in" / "a.parquet", row_group_size=30, compression=compression)
    pq.write_table(table, tmp_path / "in" / "year=2020" / "b.parquet", compression="none")
    normalizer = sn.fit(tmp_path / "in", sn.TableNormalizer(exclude=["money"]))
    written = sn.transform(normalizer, tmp_path / "in", tmp_path / "out")
    assert written == [tmp_path / "out" / "a.parquet", tmp_path / "out" / "year=2020" / "b.parquet"]
    for path in written:
        with pq.ParquetFile(path) as file:
            out = file.read()
        source = tmp_path / "in" / path.relative_to(tmp_path / "out")
        assert out.schema.equals(pq.read_schema(source), check_metadata=True)
        assert out.schema.metadata == table.schema.metadata
        for name in set(table.column_names) - {"price", "single"}:
            assert out.column(name).combine_chunks().equals(table.column(name).combine_chunks())
        assert out.column("price").is_null().equals(table.column("price").is_null())
    a, b = (pq.read_metadata(path) for path in written)
    assert [a.row_group(i).num_rows for i in range(a.num_row_groups)] == [30, 30, 30, 10]
    assert {a.row_group(0).column(i).compression for i in range(a.num_columns)} == {"ZSTD"}
    assert {b.row_group(0).column(i).compression for i in range(b.num_columns)} == {"UNCOMPRESSED"}
    expected = normalizer.transform(table)
    assert pq.ParquetFile(written[0]).read().column("price").to_pylist() == expected.column("price").to_pylist()


def test_outputs_are_the_same_bytes_for_any_threads(tmp_path):
    pq.write_table(numbers(), tmp_path / "in.parquet", row_group_size=400)
    normalizer = sn.fit(tmp_path / "in.parquet")
    outputs = [tmp_path / f"{threads}.parquet" for threads in (1, 2, 8)]
    for threads, output in zip((1, 2, 8), outputs, strict=True):
        sn.transform(normalizer, tmp_path / "in.parquet", output, threads=threads)
    assert len({output.read_bytes() for output in outputs}) == 1


def test_suffix_and_dtype_and_back(tmp_path):
    table = numbers()
    pq.write_table(table, tmp_path / "in.parquet")
    normalizer = sn.fit(tmp_path / "in.parquet", sn.TableNormalizer(suffix="_z", dtype="float32"))
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    out = pq.read_table(tmp_path / "out.parquet")
    assert out.column_names == table.column_names + [f"{name}_z" for name in table.column_names]
    assert out.select(table.column_names).equals(table)
    assert {str(out.schema.field(f"{name}_z").type) for name in table.column_names} == {"float"}
    sn.transform(normalizer, tmp_path / "out.parquet", tmp_path / "back.parquet", inverse=True)
    assert pq.read_table(tmp_path / "back.parquet").column_names == table.column_names


def test_inverse_gives_back_what_there_was(tmp_path):
    table = numbers().select(["normal", "small"])
    pq.write_table(table, tmp_path / "in.parquet")
    normalizer = sn.fit(tmp_path / "in.parquet", "robust")
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    sn.transform(normalizer, tmp_path / "out.parquet", tmp_path / "back.parquet", inverse=True)
    back = pq.read_table(tmp_path / "back.parquet")
    for name in table.column_names:
        assert np.allclose(back.column(name), table.column(name), rtol=0, atol=1e-14)


def test_an_existing_output_is_kept(tmp_path):
    pq.write_table(numbers(), tmp_path / "in.parquet")
    normalizer = sn.fit(tmp_path / "in.parquet")
    (tmp_path / "out.parquet").write_text("precious")
    (tmp_path / "link.parquet").symlink_to(tmp_path / "in.parquet")
    before = (tmp_path / "in.parquet").read_bytes()
    with pytest.raises(OutputError, match=r"out\.parquet exists"):
        sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet")
    with pytest.raises(OutputError, match="is an input"):
        sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "link.parquet", overwrite=True)
    assert (tmp_path / "out.parquet").read_text() == "precious"
    assert (tmp_path / "in.parquet").read_bytes() == before
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "out.parquet", overwrite=True)
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 5000


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (pa.table({"a": ["x"]}), "'a' as string where .*1.parquet has double"),
        (pa.table({"a": [[1.0]]}), "'a' as list<.*> where .*1.parquet has double"),
    ],
)
def test_a_second_file_that_does_not_fit_names_both(tmp_path, second, words):
    pq.write_table(pa.table({"a": [1.0, 2.0]}), tmp_path / "1.parquet")
    pq.write_table(second, tmp_path / "2.parquet")
    with pytest.raises(DataError, match=words) as error:
        sn.fit(tmp_path)
    assert "2.parquet" in str(error.value)
    assert "1.parquet" in str(error.value)


def test_integer_widths_and_column_order_may_differ(tmp_path):
    pq.write_table(pa.table({"a": pa.array([1, 2], pa.int8()), "b": [1.0, 2.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"b": [3.0, 4.0], "a": pa.array([2**40, 5], pa.int64())}), tmp_path / "2.parquet")
    one = sn.TableNormalizer().fit(pa.table({"a": [1, 2, 2**40, 5], "b": [1.0, 2.0, 3.0, 4.0]}))
    assert sn.fit(tmp_path) == one


def test_a_damaged_page_is_an_error_and_leaves_nothing(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(numbers(), path, compression="none", use_dictionary=False, write_page_checksum=True)
    normalizer = sn.fit(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(SourceError, match=r"in\.parquet cannot be read.*(CRC|checksum)"):
        sn.fit(path)
    with pytest.raises(SourceError, match=r"in\.parquet"):
        sn.transform(normalizer, path, tmp_path / "out.parquet")
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


@pytest.mark.parametrize("size", [0, 3, 8, 200, -1, -9])
def test_a_truncated_file_is_an_error(tmp_path, size):
    path = tmp_path / "in.parquet"
    pq.write_table(numbers(50), path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SourceError, match=r"in\.parquet"):
        sn.fit(path)


@pytest.mark.filterwarnings("ignore:no value")
def test_no_rows_and_no_values(tmp_path):
    for rows in (0, 3):
        pq.write_table(pa.table({"a": pa.nulls(rows, pa.float64())}), tmp_path / f"{rows}.parquet")
    normalizer = sn.fit(tmp_path)
    assert normalizer == sn.TableNormalizer().fit(pa.table({"a": pa.nulls(3, pa.float64())}))
    written = sn.transform(normalizer, tmp_path, tmp_path / "_out")
    assert [pq.read_metadata(path).num_rows for path in written] == [0, 3]


def test_infinities(tmp_path):
    table = pa.table({"a": [1.0, 3.0, float("inf"), None]})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet.*infinity.*'a', row 3:.*skip"):
        sn.fit(tmp_path / "in.parquet")
    normalizer = sn.fit(tmp_path / "in.parquet", sn.TableNormalizer(infinite="skip"))
    assert normalizer.transform(table).column("a").to_pylist() == [-1.0, 1.0, float("inf"), None]
    learnt = normalizer.learnt.groups[0].summary.counts.table[0]
    assert learnt.tolist() == [2, 1, 0, 1, 0]


def test_decimals_are_numbers(tmp_path):
    table = mixed().select(["money"])
    pq.write_table(table, tmp_path / "in.parquet")
    floats = pa.table({"money": [float(v) for v in table.column("money").to_pylist()]})
    assert sn.fit(tmp_path / "in.parquet") == sn.TableNormalizer().fit(floats)


def test_columns_keep_the_dictionaries_that_they_have(tmp_path):
    few, many = np.arange(200_000) % 7 / 2, np.random.default_rng(0).normal(size=200_000)
    table = pa.table({"few": few, "many": many, "word": (np.arange(200_000) % 3).astype(str), "key": range(200_000)})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=120_000)
    normalizer = sn.fit(tmp_path / "in.parquet", sn.TableNormalizer(None, {"few": "standard", "many": "standard"}))
    sn.transform(normalizer, tmp_path / "in.parquet", tmp_path / "o.parquet")
    before, after = (pq.read_metadata(tmp_path / f"{name}.parquet").row_group(1) for name in ("in", "o"))
    for i in range(4):
        assert after.column(i).has_dictionary_page == before.column(i).has_dictionary_page
        assert after.column(i).encodings == before.column(i).encodings


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_one_file_that_fails_leaves_no_part_of_it(tmp_path, threads):
    for i in range(4):
        pq.write_table(numbers(), tmp_path / f"{i}.parquet", row_group_size=700)
    normalizer = sn.fit(tmp_path)
    columns = numbers().column_names
    bad = numbers().set_column(0, columns[0], pa.array([float("inf")] * numbers().num_rows))
    pq.write_table(bad, tmp_path / "2.parquet", row_group_size=700)
    with pytest.raises(DataError, match=r"2\.parquet.*infinity"):
        sn.transform(normalizer, tmp_path, tmp_path / "_out", threads=threads)
    whole = {path.name: pq.read_table(path).num_rows for path in (tmp_path / "_out").glob("*.parquet")}
    assert "2.parquet" not in whole
    assert set(whole.values()) <= {numbers().num_rows}
    assert not list((tmp_path / "_out").glob(".*.streamnorm"))


@pytest.mark.parametrize("choice", ["update", "rebuild", "keep_parts"])
def test_what_is_about_a_state_file_takes_one(tmp_path, choice):
    pq.write_table(numbers(10), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"^{choice} is about a state file, .*name it"):
        sn.fit(tmp_path, **{choice: True})
    assert sn.fit(tmp_path).sources_ == ()


@pytest.mark.parametrize("threads", [0, -3, 1.5, "2"])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_threads_that_are_none(tmp_path, capsys, kind, threads):
    path, state, out = tmp_path / f"a.{kind}", tmp_path / "s.json", tmp_path / f"b.{kind}"
    write = pq.write_table if kind == "parquet" else pv.write_csv
    write(numbers(10), path)
    fitted = sn.fit(path, state=state)
    before = sorted(tmp_path.iterdir())
    for job in (
        lambda: sn.fit(path, threads=threads),
        lambda: sn.fit(path, state=state, update=True, threads=threads),
        lambda: sn.transform(fitted, path, out, threads=threads),
        lambda: forget(state, [path], threads=threads),
    ):
        with pytest.raises(ValueError, match=f"^threads must be a whole number from 1 on, got {threads!r}: "):
            job()
    assert sorted(tmp_path.iterdir()) == before
    for words in (["run", path, "--output", out], ["init", path], ["verify", state, path], ["forget", state, path]):
        assert streamnorm(capsys, *words, "--threads", threads).code == (0 if threads == "2" else 2)
