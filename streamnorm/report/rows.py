"""What is told of a normalizer that maps whole rows, beside its columns: components and correlations."""

from __future__ import annotations

from typing import Any

import numpy as np

from streamnorm.report.words import number, percent, printable
from streamnorm.states import State

__all__ = ["about_rows", "rows_to_json"]

#: Components and correlations that are told in words; all are in JSON.
_TOLD = 6


def about_rows(state: State) -> list[str]:
    """Say in words how the columns go together; nothing of a state whose columns are mapped one by one."""
    one = state.whole
    if one is None:
        return []
    names = _names(state)
    shares = [percent(share) for share in one.explained_variance_ratio_[:_TOLD]]
    more = ", ..." if len(one.explained_variance_ratio_) > _TOLD else ""
    lines = [
        f"{one.method} by {one.n_components_} of {one.n_features_in_} components; share of the variance, in %: "
        f"{', '.join(shares)}{more}"
    ]
    first, second = np.triu_indices(len(names), 1)
    values = one.correlation_[first, second]
    there = np.flatnonzero(~np.isnan(values))
    if len(there):
        most = there[np.argsort(-np.abs(values[there]), kind="stable")][:_TOLD]
        pairs = [f"{printable(names[first[i]])} and {printable(names[second[i]])} {number(values[i], 3)}" for i in most]
        lines.append(f"greatest correlations: {', '.join(pairs)}")
    if one.n_samples_left_out_:
        lines.append(f"rows left out for a missing value, the missing ones above: {one.n_samples_left_out_:,}")
    return lines


def rows_to_json(state: State) -> dict[str, Any]:
    """Give the same for JSON, in full; what does not exist is null."""
    one = state.whole
    if one is None:
        return {}
    variances = ("explained_variance", "explained_variance_ratio")
    matrices = ("covariance", "correlation", "components", *variances, "whitening")
    return {
        "parameters": dict(state.parameters),
        "features": _names(state),
        "samples": one.n_samples_seen_,
        "left_out": one.n_samples_left_out_,
        **{name: _plain(getattr(one, f"{name}_").tolist()) for name in matrices},
    }


def _names(state: State) -> list[str]:
    return list(state.table.learnt.types)


def _plain(value: Any) -> Any:
    """Give numbers as JSON has them, lists of them too."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if np.isfinite(value) else None
