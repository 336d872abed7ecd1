"""Parquet footers that tell other counts than the pages hold, or that only a key opens."""

from __future__ import annotations

import base64
import io
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest
from hostile import Case, check

import streamnorm as sn

#: The file's count of rows and its row group's, each the first or last of these bytes in the footer.
COUNT = b"\x16\xd0\x0f"


class _Keys(pe.KmsClient):
    """Keeps keys where anyone can read them."""

    def wrap_key(self, key_bytes, master_key_identifier):
        return base64.b64encode(key_bytes)


def encrypted(*, plaintext_footer: bool, values: tuple = (1.0, 3.0), key: str = "x") -> bytes:
    factory, sink = pe.CryptoFactory(lambda _: _Keys()), io.BytesIO()
    how = pe.EncryptionConfiguration(footer_key="k", column_keys={"k": [key]}, plaintext_footer=plaintext_footer)
    properties = factory.file_encryption_properties(pe.KmsConnectionConfig(), how)
    table = pa.table({"x": values, "t": ["a", "b"]})
    with pq.ParquetWriter(sink, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    return sink.getvalue()


def counted(count: bytes, which: str) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": np.arange(1000.0)}), sink, compression="none", use_dictionary=False,
                   write_statistics=False, store_schema=False)  # fmt: skip
    data = sink.getvalue()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    at = {"file": data.index(COUNT, footer), "row group": data.rindex(COUNT)}[which]
    return data[:at] + count + data[at + len(COUNT) :]


def with_a_name_that_is_no_text() -> bytes:
    """The name of a column among its pages is not UTF-8; the one in the schema is."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": [1.0, 3.0], "some text": ["a", "b"]}), sink)
    data = sink.getvalue()
    at = data.rindex(b"some text")
    return data[:at] + b"\xff" + data[at + 1 :]


FEWER, MORE = b"\x16\xce\x0f", b"\x16\xd2\x0f"
CASES = {
    **{
        f"{name} in the {which}": Case(counted(count, which), ["rows", "footer says", "restore"], kind="parquet")
        for which in ("file", "row group")
        for name, count in {"a row fewer": FEWER, "a row more": MORE}.items()
    },
    "a name that is no UTF-8": Case(with_a_name_that_is_no_text(), ["restore"], kind="parquet", fits=True),
    "encrypted": Case(encrypted(plaintext_footer=False), ["encrypted", "restore"], kind="parquet"),
    "encrypted behind a footer in the clear": Case(
        encrypted(plaintext_footer=True), ["ecrypt", "restore"], kind="parquet"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_hostile_footers(name, tmp_path, capsys):
    check(CASES[name], tmp_path, capsys)


@pytest.mark.parametrize("source", ["bad.parquet", "-"])
@pytest.mark.parametrize("last", ["transform s.json {} --output out.parquet", "run {} --output out.parquet",
                                  "fit {} --scaler minmax --state out.parquet"])  # fmt: skip
def test_a_job_is_not_ended_by_a_footer(last, source, tmp_path):
    """In a process of its own, which pyarrow would end."""
    pq.write_table(pa.table({"x": [1, 3], "t": ["a", "b"]}), tmp_path / "good.parquet")
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(encrypted(plaintext_footer=True, values=(1, 3)))
    code = "from streamnorm.cli import main; main()"
    for words in ("fit good.parquet --state s.json", last.format(source)):
        with bad.open("rb") as given:
            ended = subprocess.run(
                [sys.executable, "-c", code, *words.split()],
                stdin=given, cwd=tmp_path, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1), ended.stderr
    assert ended.stderr.startswith(
        "error: bad.parquet cannot be" if source != "-" else "error: standard input cannot be"
    )
    assert not (tmp_path / "out.parquet").exists()


def test_a_fit_of_other_columns_reads_a_file_of_which_some_are_encrypted(tmp_path):
    (tmp_path / "in.parquet").write_bytes(encrypted(plaintext_footer=True, values=(1, 3), key="t"))
    for scaler in ("standard", "minmax"):
        normalizer = sn.TableNormalizer(None, {"x": scaler})
        assert sn.fit(tmp_path / "in.parquet", normalizer) == normalizer.fit(pa.table({"x": [1, 3]}))
