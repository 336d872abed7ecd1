"""Frozen per-column maps made of statistics, applied to values and inverted.

The room imports the `kernel` alone; where numbers come from it does not know. Begin with `plans`.
"""

from streamnorm.plans.affine import Affine, Step
from streamnorm.plans.binned import Binned
from streamnorm.plans.elementary import exp, expm1, log, log1p
from streamnorm.plans.linear import Linear
from streamnorm.plans.monotone import Monotone, unit_of
from streamnorm.plans.plans import Column, Plan, first_infinite
from streamnorm.plans.power import Power, ratio
from streamnorm.plans.rows import UnitRows
from streamnorm.plans.squashed import FAR, Squashed

__all__ = [
    "FAR",
    "Affine",
    "Binned",
    "Column",
    "Linear",
    "Monotone",
    "Plan",
    "Power",
    "Squashed",
    "Step",
    "UnitRows",
    "exp",
    "expm1",
    "first_infinite",
    "log",
    "log1p",
    "ratio",
    "unit_of",
]
