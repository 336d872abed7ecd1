"""What is learnt here, used elsewhere: in scikit-learn, ONNX, SQL, Keras, PyTorch and LeRobot, without streamnorm.

Each ``to_...`` function gives what the target's own library knows; `write` makes it a file. Not every target can
express every normalizer; what one cannot is refused, with the column and a target that can:

| target | what | the same bits | scalers |
|---|---|---|---|
| sklearn | fitted estimators | yes, in float64; layers to rounding | all |
| onnx | a model | yes, in float64 and float32 | all but quantiles to a normal variable |
| sql | a query, in five dialects | yes, in DuckDB and Spark | all but quantiles to a normal variable |
| keras | a model of one BatchNormalization layer | to float32 | affine ones: no quantiles, no clip |
| torch | the state of a BatchNorm1d module | to rounding | the same |
| lerobot | statistics of a dataset's features | they are numbers, no map | all, with a profile |
"""

from streamnorm.export._keras import to_keras
from streamnorm.export._lerobot import to_lerobot, to_lerobot_episodes
from streamnorm.export._onnx import to_onnx
from streamnorm.export._sklearn import to_sklearn
from streamnorm.export._sql import DIALECTS, to_sql
from streamnorm.export._torch import to_torch
from streamnorm.export.exporters import EXPORTERS, Exporter, write

__all__ = [
    "DIALECTS",
    "EXPORTERS",
    "Exporter",
    "to_keras",
    "to_lerobot",
    "to_lerobot_episodes",
    "to_onnx",
    "to_sklearn",
    "to_sql",
    "to_torch",
    "write",
]
