"""The family of scalers, and what is done to columns beside scaling, without scikit-learn.

The room imports the arithmetic below it: `kernel`, `summaries`, `plans`, `columns`, `arrow`. Begin with `family`,
where each scaler is one row.
"""

from streamnorm.rules.choosing import choose, named
from streamnorm.rules.decay import Decay
from streamnorm.rules.family import FAMILY, RULES, UNIT, rule_of
from streamnorm.rules.recipes import arguments_of
from streamnorm.rules.rule import BoundRule, Rule, canonical
from streamnorm.rules.treatment import LAYOUTS, PLAIN, Steps
from streamnorm.rules.whitening import DDOF, METHODS, Whitening
from streamnorm.rules.winsorizing import FOLDS, TAILS

__all__ = [
    "DDOF",
    "FAMILY",
    "FOLDS",
    "LAYOUTS",
    "METHODS",
    "PLAIN",
    "RULES",
    "TAILS",
    "UNIT",
    "BoundRule",
    "Decay",
    "Rule",
    "Steps",
    "Whitening",
    "arguments_of",
    "canonical",
    "choose",
    "named",
    "rule_of",
]
