"""Tables that DuckDB changed: a state that follows them is that of the rows that DuckDB reads itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from icebergs import catalog_in
from lakes import rows_of

import streamnorm as sn

KEPT = Path(__file__).with_name("written_by_duckdb")
CHOICES = {
    "standard": {},
    "robust": {"default": sn.RobustScaler(max_bins=16)},
    "by": {"columns": {"x": "minmax"}, "default": None, "by": "k"},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("delta", "delta_by_k", "iceberg"):
        shutil.copytree(KEPT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", ["delta", "delta_by_k"])
def test_appends_to_a_delta_table(name, choice):
    wanted = sn.TableNormalizer(**CHOICES[choice])
    sn.fit(name, wanted, state="s.json", version=0)
    for version in range(1, 4):
        fitted = sn.fit(name, state="s.json", update=True, version=version)
        rows = pq.read_table(KEPT / "rows" / f"{name}_{version}.parquet")
        assert fitted.digest() == sn.TableNormalizer(**CHOICES[choice]).fit(rows).digest()
        assert fitted.sources_[0].rows == len(rows)
    table = DeltaTable(name)
    table.optimize.compact()
    table.delete("id > 20")
    fitted = sn.fit(name, state="s.json", update=True)
    assert fitted.digest() == sn.TableNormalizer(**CHOICES[choice]).fit(rows_of(name)).digest()


@pytest.mark.parametrize("choice", CHOICES)
def test_inserts_updates_and_deletes_in_an_iceberg_table(choice, tmp_path):
    catalog = catalog_in(tmp_path)
    for version, metadata in enumerate(json.loads((KEPT / "rows" / "iceberg.json").read_text())):
        table = catalog.register_table("ns.t", metadata)
        if version:
            fitted = sn.fit(table, state="s.json", update=True)
        else:
            fitted = sn.fit(table, sn.TableNormalizer(**CHOICES[choice]), state="s.json")
        rows = pq.read_table(KEPT / "rows" / f"iceberg_{version}.parquet")
        assert fitted.digest() == sn.TableNormalizer(**CHOICES[choice]).fit(rows).digest()
        assert fitted.sources_[0].rows == len(rows)
        catalog.drop_table("ns.t")
    assert version == 6
