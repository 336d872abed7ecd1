"""streamnorm: normalise numeric data too large for memory, on exact statistics.

A fitted state is a function of the rows and of nothing else: not of the batch size, the order of the
files, the number of threads or machines. Not approximately: bit for bit.

Names are imported when they are first used, so that `import streamnorm` needs neither scikit-learn nor
pandas.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from streamnorm.version import __version__

if TYPE_CHECKING:
    from streamnorm import export as export
    from streamnorm import report as report
    from streamnorm.engines import dask as dask
    from streamnorm.engines import spark as spark
    from streamnorm.jobs.fit import fit
    from streamnorm.jobs.transform import transform
    from streamnorm.normalizers.adaptive import AdaptiveStandardScaler
    from streamnorm.normalizers.batch import BatchNormalizer
    from streamnorm.normalizers.binning import KBinsDiscretizer
    from streamnorm.normalizers.estimators import (
        MaxAbsScaler,
        MinMaxScaler,
        QuantileTransformer,
        RobustScaler,
        StandardScaler,
    )
    from streamnorm.normalizers.pipeline import StreamingPipeline
    from streamnorm.normalizers.power import PowerTransformer
    from streamnorm.normalizers.row_norms import Normalizer
    from streamnorm.normalizers.squashing import SquashingScaler
    from streamnorm.normalizers.table_normalizer import TableNormalizer
    from streamnorm.normalizers.whitener import Whitener
    from streamnorm.normalizers.winsorizing import Winsorizer
    from streamnorm.states import Following, dumps, following, load, loads, save
    from streamnorm.streams.follow import follow

#: Parts whose names are used through them, ``sn.report.diff``, and their modules.
_PARTS = {
    "dask": "streamnorm.engines.dask",
    "export": "streamnorm.export",
    "report": "streamnorm.report",
    "spark": "streamnorm.engines.spark",
}

_HOME = {
    "AdaptiveStandardScaler": "streamnorm.normalizers.adaptive",
    "BatchNormalizer": "streamnorm.normalizers.batch",
    "CsvOptions": "streamnorm.formats.options",
    "Following": "streamnorm.states.streams",
    "KBinsDiscretizer": "streamnorm.normalizers.binning",
    "MaxAbsScaler": "streamnorm.normalizers.estimators",
    "MinMaxScaler": "streamnorm.normalizers.estimators",
    "Normalizer": "streamnorm.normalizers.row_norms",
    "PowerTransformer": "streamnorm.normalizers.power",
    "QuantileTransformer": "streamnorm.normalizers.estimators",
    "RobustScaler": "streamnorm.normalizers.estimators",
    "SquashingScaler": "streamnorm.normalizers.squashing",
    "StandardScaler": "streamnorm.normalizers.estimators",
    "StreamingPipeline": "streamnorm.normalizers.pipeline",
    "TableNormalizer": "streamnorm.normalizers.table_normalizer",
    "Whitener": "streamnorm.normalizers.whitener",
    "Winsorizer": "streamnorm.normalizers.winsorizing",
    "dumps": "streamnorm.states.file",
    "fit": "streamnorm.jobs.fit",
    "follow": "streamnorm.streams.follow",
    "following": "streamnorm.states.streams",
    "load": "streamnorm.states.file",
    "loads": "streamnorm.states.file",
    "save": "streamnorm.states.file",
    "transform": "streamnorm.jobs.transform",
}

__all__ = [
    "AdaptiveStandardScaler",
    "BatchNormalizer",
    "CsvOptions",
    "Following",
    "KBinsDiscretizer",
    "MaxAbsScaler",
    "MinMaxScaler",
    "Normalizer",
    "PowerTransformer",
    "QuantileTransformer",
    "RobustScaler",
    "SquashingScaler",
    "StandardScaler",
    "StreamingPipeline",
    "TableNormalizer",
    "Whitener",
    "Winsorizer",
    "__version__",
    "dumps",
    "export",
    "fit",
    "follow",
    "following",
    "load",
    "loads",
    "report",
    "save",
    "transform",
]


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(_PARTS[name])
    if name not in _HOME:
        raise AttributeError(f"module 'streamnorm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_PARTS})
