"""The guide's table of normalizers has all there are, and its picture is that of this version."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator

import streamnorm as sn
from streamnorm.rules.family import FAMILY

ROOT = Path(__file__).parents[2]
GUIDE = (Path(sn.__file__).parent / "docs" / "guide.md").read_text(encoding="utf-8")
SECTION = GUIDE.split("\n## Which normalizer for what\n")[1].split("\n## ")[0]
ROWS = [line.split(" | ") for line in SECTION.splitlines() if line.startswith("|")][2:]
CLASSES = [
    name
    for name in sn.__all__
    if isinstance(getattr(sn, name), type) and issubclass(getattr(sn, name), BaseEstimator)
    if name != "StreamingPipeline"
]


@pytest.fixture(scope="module")
def pictures():
    path = ROOT / "data" / "pictures.py"
    found = importlib.util.module_from_spec(importlib.util.spec_from_file_location(path.stem, path))
    found.__spec__.loader.exec_module(found)
    return found


def test_the_table_has_every_normalizer():
    named = set(re.findall(r"`(?:sn\.)?(\w+)", " ".join(row[1] for row in ROWS)))
    scalers = {rule.estimator: name for name, rule in FAMILY.items()}
    lacking = {scalers.get(name, name) for name in CLASSES} - named
    assert not lacking, "give each a row in the guide's table 'Which normalizer for what'"
    assert named <= {*FAMILY, *CLASSES}


def test_every_scaler_of_columns_has_a_picture(pictures):
    drawn = {type(panel.normalizer).__name__ for panel in pictures.PANELS}
    lacking = {rule.estimator for rule in FAMILY.values()} - drawn
    assert not lacking, "give each a Panel in data/pictures.py, and draw it: python data/pictures.py"


def test_the_picture_is_current(pictures):
    text = (ROOT / "data" / "normalizers.svg").read_text(encoding="utf-8")
    assert text == pictures.draw(pictures.PANELS), "draw it again: python data/pictures.py"
