"""Whatever bytes a CSV or state file holds, it is read or refused in a sentence: nothing else comes out."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import streamnorm as sn
from streamnorm.errors import StateError, StreamnormError

STATE = (Path(__file__).parents[1] / "states" / "released" / "v1_table.json").read_bytes()
BITS = st.sampled_from(
    [b"1", b"-2.5", b"", b"a", b",", b",", b"\n", b"\n", b"\r", b'"', b'""', b"\0", b"\xff", b"x,t\n"]
)
CSV = st.one_of(st.binary(max_size=60), st.lists(BITS, max_size=30).map(lambda parts: b"x,t\n1,a\n" + b"".join(parts)))


@pytest.mark.filterwarnings("ignore:no value")
@settings(max_examples=150, deadline=None, derandomize=True)
@given(CSV)
def test_any_bytes_as_csv(data):
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in.csv"
        source.write_bytes(data)
        try:
            sn.fit(source)
        except StreamnormError as error:
            assert "in.csv" in str(error)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(0, len(STATE) - 2), st.integers(0, 40), st.binary(max_size=20))
def test_any_bytes_in_a_state(at, size, new):
    data = STATE[:at] + new + STATE[at + size :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.json"
        path.write_bytes(STATE)
        good = sn.load(path)
        path.write_bytes(data)
        try:
            assert sn.load(path) == good  # white space alone
        except StateError as error:
            assert "state.json" in str(error)
