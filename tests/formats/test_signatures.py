"""What a file is, its first bytes say: for names that tell nothing, or too little."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from shell import streamnorm

import streamnorm as sn
from streamnorm.errors import StreamnormError

TABLE = pa.table({"x": np.arange(3000) % 7 * 1.0, "s": [f"text {i % 3}" for i in range(3000)]})


def ipc(kind: str, codec: str | None = None) -> bytes:
    sink, new = io.BytesIO(), {"file": pa.ipc.new_file, "stream": pa.ipc.new_stream}[kind]
    with new(sink, TABLE.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(TABLE, max_chunksize=500)
    return sink.getvalue()


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(TABLE, sink)
    return sink.getvalue()


def csv() -> bytes:
    sink = io.BytesIO()
    pv.write_csv(TABLE, sink)
    return sink.getvalue()


def feather_of_version_1() -> bytes:
    sink = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        feather.write_feather(TABLE, sink, version=1)
    return sink.getvalue()


FILES = {"Parquet": parquet, "CSV": csv, "file": lambda: ipc("file"), "stream": lambda: ipc("stream")}


@pytest.mark.parametrize("suffix", [".arrow", ".arrows", ".feather", ".ipc", ".ARROW"])
@pytest.mark.parametrize("kind", ["file", "stream"])
@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_arrow_is_a_file_or_a_stream_by_content_and_stays_it(tmp_path, suffix, kind, codec):
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / f"a{suffix}"
    source.write_bytes(ipc(kind, codec))
    fitted = sn.fit(source)
    assert fitted == sn.TableNormalizer().fit(TABLE)
    (written,) = sn.transform(fitted, tmp_path / "in", tmp_path / "out")
    with {"file": pa.ipc.open_file, "stream": pa.ipc.open_stream}[kind](written) as reader:
        assert reader.read_all() == fitted.transform(TABLE)
    assert written.stat().st_size < 1.1 * source.stat().st_size + 1000


@pytest.mark.parametrize("codec", [None, "lz4", "zstd"])
def test_another_ending_asks_for_another_kind(tmp_path, codec):
    (tmp_path / "a.arrow").write_bytes(ipc("file", codec))
    fitted = sn.fit(tmp_path / "a.arrow")
    (stream,) = sn.transform(fitted, tmp_path / "a.arrow", tmp_path / "b.arrows")
    (file,) = sn.transform(fitted, stream, tmp_path / "c.feather", inverse=True)
    with pa.ipc.open_stream(stream) as reader:
        assert reader.read_all() == fitted.transform(TABLE)
    assert feather.read_table(file)["s"] == TABLE["s"]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", ["part-00000", "000000_0", "day.txt", "data.parquet.tmp", "x"])
def test_a_file_named_outright_is_told_by_its_bytes(tmp_path, kind, name):
    (tmp_path / name).write_bytes(FILES[kind]())
    fitted = sn.fit(tmp_path / name)
    assert fitted == sn.TableNormalizer().fit(TABLE)
    (written,) = sn.transform(fitted, tmp_path / name, f"{tmp_path}/out/")
    assert written == tmp_path / "out" / name
    back = sn.transform(fitted, written, f"{tmp_path}/back/", inverse=True)
    assert sn.fit(back).learnt == sn.fit(tmp_path / name).learnt
    with pytest.raises(StreamnormError, match="other is of no known format: end the name in"):
        sn.transform(fitted, tmp_path / name, tmp_path / "other")


NO_TABLES = {
    "Feather 1": (feather_of_version_1, "a Feather file of version 1"),
    "XML": (b'<?xml version="1.0"?>\n<Error><Code>NoSuchKey</Code></Error>', "an XML page"),
    "one line of XML": (b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>', "an XML page"),
    "XML without a head": (b"<Error><Code>AccessDenied</Code></Error>\n", "an XML page"),
    "HTML": (b"\n  <!DOCTYPE html>\n<html><body>502</body></html>", "an HTML page"),
    "HTML, marked": (b"\xef\xbb\xbf<HTML>\n", "an HTML page"),
    "JSON": (b'{"message": "Forbidden"}\n', "JSON"),
    "a list in JSON": (b'[\n  {"x": 1}\n]', "JSON"),
    "zip": (b"PK\x03\x04" + bytes(40), "a zip archive"),
    "ORC": (b"ORC\x0a" + bytes(40), "an ORC file"),
    "Avro": (b"Obj\x01" + bytes(40), "an Avro file"),
    "an encrypted footer": (b"PARE" + bytes(40), "encrypted"),
}


@pytest.mark.parametrize("name", ["part-0", "a.csv", "a.arrow"])
@pytest.mark.parametrize("kind", NO_TABLES)
def test_what_is_no_table_is_named(tmp_path, kind, name, capsys):
    content, words = NO_TABLES[kind]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content())
    done = streamnorm(capsys, "fit", tmp_path / name, "--state", tmp_path / "s.json")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert done.err.startswith(f"error: {tmp_path / name}")
    assert words in done.err
    assert "by its first bytes" in done.err
    assert not (tmp_path / "s.json").exists()


def test_what_no_signature_fits_is_of_no_known_kind(tmp_path):
    (tmp_path / "core").write_bytes(bytes(range(256)))
    with pytest.raises(StreamnormError, match="core is of no known kind by its first bytes, expected Parquet"):
        sn.fit(tmp_path / "core")


@pytest.mark.parametrize("header", ["[x],[y]\n1,2\n3,4\n", "{x},y\n1,2\n3,4\n", "<x>,y\n1,2\n3,4\n"])
def test_names_in_brackets_are_a_table(tmp_path, header):
    (tmp_path / "a.csv").write_text(header)
    assert len(sn.fit(tmp_path / "a.csv").learnt.types) == 2


# ---- pipes that have a name ----


@pytest.mark.parametrize("kind", FILES)
def test_a_named_pipe_is_read_once_and_kept(tmp_path, kind):
    pipe = tmp_path / "pipe"
    for _ in range(2):  # the same content is counted once
        os.mkfifo(pipe)
        thread = threading.Thread(target=pipe.write_bytes, args=[FILES[kind]()])
        thread.start()
        fitted = sn.fit(pipe, state=tmp_path / "s.json", update=True)
        thread.join()
        pipe.unlink()
        assert fitted == sn.TableNormalizer().fit(TABLE)


@pytest.mark.parametrize("source", ["/dev/stdin < a.csv", "<(cat a.csv)", "/dev/fd/0 < a.csv"])
def test_what_a_shell_gives(tmp_path, source):
    (tmp_path / "a.csv").write_bytes(csv())
    command = f"{sys.executable} -P -c 'from streamnorm.cli import main; main()' fit --state s.json {source}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "s.json: 1 column, 1 source, 3,000 rows\n")


def test_an_empty_pipe_and_a_device_are_errors(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=pipe.write_bytes, args=[b""])
    thread.start()
    with pytest.raises(StreamnormError, match=r"nothing came from .*pipe: pipe a file"):
        sn.fit(pipe)
    thread.join()
    with pytest.raises(StreamnormError, match=r"^/dev/null is a device, expected a file"):
        sn.fit("/dev/null")
