"""The table of normalizers: which summary each keeps, and which plan it makes of it.

A new normalizer is one row here and a class of a few lines in `normalizers`. Nothing in this file needs
scikit-learn, so that jobs over files start without it.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError, SparseError
from streamnorm.plans import Affine, Monotone, Plan, Step, UnitRows
from streamnorm.rules import binning, ranges, squashing, winsorizing
from streamnorm.rules.decay import halflife_text
from streamnorm.rules.power import check_method, lambda_errors, lambdas, power_plan
from streamnorm.rules.rule import BoundRule, Params, Rule
from streamnorm.rules.treatment import Steps
from streamnorm.summaries import (
    CONSTANT,
    MAX_BINS,
    DecayedMoments,
    Extremes,
    Given,
    Histogram,
    HistogramOf,
    Moments,
    Tally,
)

__all__ = ["FAMILY", "RULES", "UNIT", "rule_of"]

#: The rule of vectors that are divided by their length; it is of whole vectors alone.
UNIT = "unit"


def rule_of(spec: Any, **params: Any) -> BoundRule:
    """Find the rule for a name on the command line or an estimator of this package.

    Parameters
    ----------
    spec : str, estimator or BoundRule
    **params
        Of the scaler and of `Steps`, where `spec` is a name.

    Raises
    ------
    DataError
        If there is no such rule; the message lists those there are.

    Examples
    --------
    >>> rule_of("minmax").params["feature_range"]
    (0, 1)
    >>> rule_of("nope")
    Traceback (most recent call last):
    streamnorm.errors.DataError: there is no scaler 'nope'; there are kbins, maxabs, minmax, power, quantile,
    robust, squashing, standard, unit, winsor.
    """
    if isinstance(spec, BoundRule):
        return spec
    bound = getattr(spec, "_bound", None)
    if isinstance(bound, BoundRule):
        bound.rule.check_in_tables(vars(spec))
        return bound
    if not isinstance(spec, str) or spec not in RULES:
        rows = hasattr(spec, "cross_products")
        hint = f" A {type(spec).__name__} maps whole rows: call its fit with a stream of them." if rows else ""
        raise DataError(f"there is no scaler {spec!r}; there are {', '.join(sorted(RULES))}.{hint}")
    rule = RULES[spec]
    flags = {name for name, value in params.items() if name in rule.defaults and isinstance(value, bool)}
    steps = {f.name: params.pop(f.name) for f in fields(Steps) if f.name in params and f.name not in flags}
    return _bound(spec, {**rule.defaults, **params}, Steps(**steps))


def _bound(name: str, params: Params, steps: Steps, profile: bool = False, given: bool = False) -> BoundRule:
    """Bind a rule of the family.

    Parameters
    ----------
    name : str
        In the family.
    params : mapping
    steps : Steps
    profile, given : bool
    """
    return BoundRule(RULES[name], MappingProxyType(dict(params)), steps, profile, given)


def _no_centre(parameter: str) -> DataError:
    return DataError(
        f"Cannot center sparse matrices: pass `{parameter}=False` instead. See docstring for motivation and "
        "alternatives."
    )


def _nonzero(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scale == 0, 1.0, scale)


def _same_for_all(values: NDArray[Any]) -> Any:
    """Give one number where all columns have the same, as scikit-learn does, and the array otherwise."""
    return values[0] if len(values) and (values == values[0]).all() else values


def _check_moments(p: Params) -> None:
    if not p["ddof"] >= 0:
        raise DataError(f"ddof must not be negative, got {p['ddof']!r}: use 0 or 1.")

    if p["halflife"] is None:
        if p["time"] is not None:
            raise DataError("time says when rows were, and means nothing without a halflife: give both or none.")
        return
    halflife_text(p["halflife"])
    if not (p["time"] is None or (isinstance(p["time"], (str, int)) and not isinstance(p["time"], bool))):
        raise DataError(f"time must be the name of a column, or its number where columns have none, got {p['time']!r}.")
    if p["ddof"] != 0:
        raise DataError(
            f"ddof must be 0 with a halflife, got {p['ddof']!r}: weights that decay count as much as each other and no "
            "number of rows."
        )


def _refuse_sparse_moments(p: Params) -> Exception | None:
    if p["halflife"] is not None:
        return SparseError("a halflife needs a column of times, which sparse input has not: give a table or an array.")
    return _no_centre("with_mean") if p["with_mean"] else None


def _standard_plan(s: Moments | Given, p: Params) -> Plan:
    mean = s.mean() if p["with_mean"] else None
    if isinstance(s, Given) or not p["with_std"]:
        return Affine.centred(mean, s.scale(p["ddof"]) if p["with_std"] else None)
    scale = s.scale(p["ddof"])
    return Affine.centred(mean, scale, s.quarter(p["ddof"]) if np.isinf(scale).any() else None)


def _robust_centre(s: Histogram | Given, p: Params) -> NDArray[np.float64] | None:
    if isinstance(s, Given):
        return s.number("center") if p["with_centering"] else None
    return np.asarray(s.quantile([0.5])[0]) if p["with_centering"] else None


def _robust_scale(s: Histogram | Given, p: Params, unit: float = 1.0) -> NDArray[np.float64] | None:
    """Give the distance of the two quantiles.

    Parameters
    ----------
    s : Histogram or Given
    p : mapping
        Parameters of the scaler.
    unit : float
        Power of two that the result is multiplied by, so that a distance beyond the greatest float64 can be told.
    """
    if not p["with_scaling"]:
        return None
    if isinstance(s, Given):
        given = s.number("scale")
        return None if given is None else given * unit
    low, high = (q * unit for q in s.quantile([percent / 100.0 for percent in p["quantile_range"]]))
    with np.errstate(over="ignore"):
        scale = high - low
    scale = np.where(scale <= CONSTANT * np.maximum(np.abs(low), np.abs(high)), unit, scale)
    if p["unit_variance"]:
        from scipy.special import ndtri

        first, last = (float(ndtri(percent / 100.0)) for percent in p["quantile_range"])
        scale = scale / (last - first)
    return np.asarray(scale)


def _robust_plan(s: Histogram | Given, p: Params) -> Plan:
    return Affine.centred(_robust_centre(s, p), _robust_scale(s, p), _robust_scale(s, p, 0.25))


def _references(s: Histogram, p: Params) -> NDArray[np.float64]:
    return np.linspace(0, 1, int(_n_points(s, p).max(initial=1)), endpoint=True)


def _quantiles(s: Histogram, p: Params) -> NDArray[np.float64]:
    return np.asarray(np.maximum.accumulate(s.quantile(_references(s, p))))


def _n_points(s: Histogram, p: Params) -> NDArray[np.int64]:
    return np.clip(s.counts.rows, 1, p["n_quantiles"])


def _quantile_plan(s: Histogram, p: Params) -> Monotone:
    normal = p["output_distribution"] == "normal"
    n_points = _n_points(s, p)
    if len(set(n_points.tolist())) < 2:
        return Monotone(_quantiles(s, p), _references(s, p), normal)
    quantiles, references = np.empty((2, n_points.max(), len(s)))  # keys have fewer rows than others
    for n in np.unique(n_points):
        own = np.flatnonzero(n_points == n)
        part = s.take(own)
        for whole, found in (quantiles, _quantiles(part, p)), (references, _references(part, p)[:, np.newaxis]):
            whole[:n, own], whole[n:, own] = found, found[-1]
    return Monotone(quantiles, references, normal)


_RULES = [
    Rule(
        "standard",
        "StandardScaler",
        lambda p: Moments if p["halflife"] is None else DecayedMoments,
        {
            "mean_": lambda s, p: s.mean() if p["with_mean"] or p["with_std"] else None,
            "var_": lambda s, p: s.var(p["ddof"]) if p["with_std"] else None,
            "scale_": lambda s, p: s.scale(p["ddof"]) if p["with_std"] else None,
            "n_samples_seen_": lambda s, p: _same_for_all(s.samples()),
        },
        _standard_plan,
        MappingProxyType({"with_mean": True, "with_std": True, "ddof": 0, "halflife": None, "time": None}),
        _check_moments,
        _refuse_sparse_moments,
        lambda s, p: np.isnan(s.var(p["ddof"]) if p["with_std"] else s.mean()),
        MappingProxyType({"mean": "with_mean", "scale": "with_std"}),
        ("n_samples_seen_",),
        MappingProxyType({"halflife": None, "time": None}),
    ),
    Rule(
        "minmax",
        "MinMaxScaler",
        ranges.summary_of,
        {
            "min_": ranges.least_result,
            "scale_": ranges.scale,
            "data_min_": lambda s, p: ranges.ends(s, p)[0],
            "data_max_": lambda s, p: ranges.ends(s, p)[1],
            "data_range_": ranges.width,
            "n_samples_seen_": lambda s, p: int(s.counts.rows.max(initial=0)),
            "quantile_error_": ranges.errors,
        },
        ranges.minmax_plan,
        MappingProxyType({"feature_range": (0, 1), "clip": False, "quantile_range": None, "max_bins": MAX_BINS}),
        ranges.check,
        lambda p: SparseError("MinMaxScaler does not support sparse input. Consider using MaxAbsScaler instead."),
        given=MappingProxyType({"data_min": None, "data_max": None}),
        of_rows=("n_samples_seen_", "quantile_error_"),
        later=MappingProxyType({"quantile_range": (1.0, 99.0), "max_bins": MAX_BINS}),
    ),
    Rule(
        "maxabs",
        "MaxAbsScaler",
        lambda p: Extremes,
        {
            "max_abs_": lambda s, p: s.magnitude,
            "scale_": lambda s, p: _nonzero(s.magnitude),
            "n_samples_seen_": lambda s, p: int(s.counts.rows.max(initial=0)),
        },
        lambda s, p: Affine((Step(np.divide, _nonzero(s.magnitude)),), (-1.0, 1.0) if p["clip"] else None),
        MappingProxyType({"clip": False}),
        given=MappingProxyType({"max_abs": None}),
        of_rows=("n_samples_seen_",),
    ),
    Rule(
        "robust",
        "RobustScaler",
        lambda p: HistogramOf(p["max_bins"]),
        {
            "center_": _robust_centre,
            "scale_": _robust_scale,
            "quantile_error_": lambda s, p: s.error_bound([q / 100.0 for q in sorted((50.0, *p["quantile_range"]))]),
        },
        _robust_plan,
        MappingProxyType(
            {
                "with_centering": True,
                "with_scaling": True,
                "quantile_range": (25.0, 75.0),
                "unit_variance": False,
                "max_bins": MAX_BINS,
            }
        ),
        ranges.check_quantiles,
        lambda p: _no_centre("with_centering") if p["with_centering"] else None,
        given=MappingProxyType({"center": "with_centering", "scale": "with_scaling"}),
        of_rows=("quantile_error_",),
    ),
    Rule(
        "quantile",
        "QuantileTransformer",
        lambda p: HistogramOf(p["max_bins"]),
        {
            "n_quantiles_": lambda s, p: len(_references(s, p)),
            "references_": _references,
            "quantiles_": _quantiles,
        },
        _quantile_plan,
        MappingProxyType({"n_quantiles": 1000, "output_distribution": "uniform", "max_bins": MAX_BINS}),
    ),
    Rule(
        "power",
        "PowerTransformer",
        lambda p: HistogramOf(p["max_bins"]),
        {"lambdas_": lambdas, "lambda_errors_": lambda_errors},
        power_plan,
        MappingProxyType({"method": "yeo-johnson", "standardize": True, "max_bins": MAX_BINS}),
        check_method,
        lambda p: SparseError("PowerTransformer does not support sparse input: use MaxAbsScaler, which keeps zeros."),
    ),
    Rule(
        "kbins",
        "KBinsDiscretizer",
        lambda p: HistogramOf(p["max_bins"]),
        {"bin_edges_": binning.bin_edges, "n_bins_": binning.bins},
        binning.binned_plan,
        MappingProxyType(
            {
                "n_bins": 5,
                "strategy": "quantile",
                "quantile_method": "averaged_inverted_cdf",
                "max_bins": MAX_BINS,
            }
        ),
        binning.check,
        lambda p: SparseError("KBinsDiscretizer does not support sparse input: its zeros would get bins."),
        in_tables=MappingProxyType({"encode": "ordinal"}),
    ),
    Rule(
        "squashing",
        "SquashingScaler",
        lambda p: HistogramOf(p["max_bins"]),
        squashing.ATTRIBUTES,
        squashing.squashed_plan,
        MappingProxyType({"max_absolute_value": 3.0, "quantile_range": (25.0, 75.0), "max_bins": MAX_BINS}),
        squashing.check_bound,
        lambda p: SparseError("SquashingScaler does not support sparse input: use MaxAbsScaler, which keeps zeros."),
    ),
    Rule(
        "winsor",
        "Winsorizer",
        winsorizing.summary_of_capping,
        winsorizing.ATTRIBUTES,
        winsorizing.capped_plan,
        MappingProxyType({"capping_method": "gaussian", "tail": "right", "fold": "auto", "max_bins": MAX_BINS}),
        winsorizing.check_capping,
        lambda p: SparseError("Winsorizer does not support sparse input: its zeros may lie beyond a cap."),
        later=MappingProxyType({"fold": None}),
    ),
]
#: Every rule of numbers by its name.
FAMILY: Mapping[str, Rule] = MappingProxyType({rule.name: rule for rule in _RULES})
_UNIT = Rule(
    UNIT,
    "Normalizer",
    lambda p: Tally,
    {},
    lambda s, p: UnitRows("l2"),
    MappingProxyType({}),
    lacking=lambda s, p: np.zeros(len(s), np.bool_),
)
#: The family, and the rule of columns of vectors that learns nothing.
RULES: Mapping[str, Rule] = MappingProxyType({**FAMILY, UNIT: _UNIT})


def _by_name(rule: BoundRule) -> tuple[Any, ...]:
    return _bound, (rule.rule.name, dict(rule.params), rule.steps, rule.profile, rule.given)


# A rule is functions, which are found again in the family by its name.
copyreg.pickle(BoundRule, _by_name)
