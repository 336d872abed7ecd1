"""There and back again, for any numbers; and a state recomputed from its files, exactly."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from shell import streamnorm

import streamnorm as sn

NUMBERS = st.lists(st.none() | st.floats(-1e150, 1e150), min_size=2, max_size=30).filter(any)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(NUMBERS)
def test_a_value_comes_back_but_for_four_roundings(values):
    table = pa.table({"x": pa.array(values, pa.float64())})
    normalizer = sn.TableNormalizer(None, {"x": "standard"}).fit(table)
    back = normalizer.inverse_transform(normalizer.transform(table))["x"].to_pylist()
    far = max(abs(v) for v in values if v is not None)
    for value, found in zip(values, back, strict=True):
        if value is None:
            assert found is None
        else:  # each rounding is by 2**-53 of no more than the distance to the mean, and the mean lies among the values
            assert abs(found - value) <= 4 * 2.0**-53 * 2 * far


def test_verify_finds_one_value_that_differs_in_its_last_bit(tmp_path, capsys):
    path, state = tmp_path / "in.parquet", tmp_path / "s.json"
    values = np.random.default_rng(0).normal(size=1000)
    pq.write_table(pa.table({"x": values}), path)
    assert streamnorm(capsys, "fit", path, "--state", state, "--quiet").code == 0
    assert streamnorm(capsys, "verify", state, path).code == 0
    before = state.read_bytes()
    values[500] = np.nextafter(values[500], 9)
    pq.write_table(pa.table({"x": values}), path)
    done = streamnorm(capsys, "verify", state, path)
    assert (done.code, str(path) in done.err) == (1, True)
    assert state.read_bytes() == before


def test_verify_tells_what_it_has_counted_of_a_state_without_a_record(tmp_path, capsys):
    pq.write_table(pa.table({"x": np.arange(1000.0)}), tmp_path / "in.parquet")
    sn.save(sn.fit(tmp_path / "in.parquet"), tmp_path / "s.json")
    done = streamnorm(capsys, "verify", tmp_path / "s.json", tmp_path / "in.parquet")
    assert done.out.endswith("the same, bit for bit: 1 column, 1 source, 1,000 rows\n")
