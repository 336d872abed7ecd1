"""Whitening: the map after which columns are uncorrelated and have variance 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.plans import Linear
from streamnorm.rules.directions import directions, weighted_products
from streamnorm.summaries import CONSTANT, CrossProducts

__all__ = ["DDOF", "METHODS", "Whitening"]

_Floats = NDArray[np.float64]
#: Ways to turn what is whitened: to the directions themselves, or back to where it came from.
METHODS = ("zca", "pca")
#: Taken from the number of rows in the divisor of a covariance, as in scikit-learn's `PCA`.
DDOF = 1


@dataclass(frozen=True)
class Whitening:
    """A whitening map, and what it is made of.

    Parameters
    ----------
    mean : ndarray of shape (n_columns,)
    components : ndarray of shape (n_components, n_columns)
        Directions, those of the greatest variance first.
    variances : ndarray of shape (n_components,)
        Along the directions.
    ratios : ndarray of shape (n_components,)
        Shares of the variance of all columns.
    matrix : ndarray of shape (n_results, n_columns)
    back : ndarray of shape (n_columns, n_results)
    """

    mean: _Floats
    components: _Floats
    variances: _Floats
    ratios: _Floats
    matrix: _Floats
    back: _Floats

    @property
    def plan(self) -> Linear:
        """The map of rows."""
        return Linear(self.mean, self.matrix, self.back)

    @classmethod
    def of(cls, summary: CrossProducts, method: str, components: int | None, regularization: float) -> Self:
        """Make the map of exact sums; all of it is NaN where they are of fewer than two rows.

        Parameters
        ----------
        summary : CrossProducts
        method : {"zca", "pca"}
        components : int, optional
            Directions that are kept, by default all.
        regularization : float
            Added to each variance.
        """
        kept, mean = len(summary) if components is None else min(components, len(summary)), summary.mean()
        half = (summary.greatest(DDOF) + 1) // 2  # the greatest variance is brought near to 1, by a power of four
        covariance = summary.covariance(DDOF, -2 * half)
        if np.isnan(covariance).any():
            nothing = np.full((kept, len(summary)), np.nan)
            matrix = nothing if method == "pca" else np.full((len(summary), len(summary)), np.nan)
            return cls(mean, nothing, nothing[:, 0], nothing[:, 0], matrix, matrix.T)
        with np.errstate(over="ignore"):  # variances may be beyond float64, and inverses of subnormal deviations
            constant = np.ldexp(np.sqrt(np.diag(covariance)), half) <= CONSTANT * np.abs(mean)
            covariance[constant] = covariance[:, constant] = 0.0
            variances, rows = directions(covariance)
            total = variances.sum()
            variances, rows = variances[:kept], rows[:kept]
            widened = np.sqrt(variances + np.ldexp(regularization, -2 * half))
            factors = np.divide(np.ldexp(1.0, -half), widened, out=np.zeros(kept), where=widened > 0)
            factors[np.isinf(factors)] = 0.0
            inverse = np.where(factors > 0, np.ldexp(widened, half), 0.0)
            inverse[np.isinf(inverse)] = np.nan  # no way back
            if method == "zca":
                matrix, back = (weighted_products(f, rows, rows) for f in (factors, inverse))
            else:
                matrix, back = factors[:, np.newaxis] * rows, (inverse[:, np.newaxis] * rows).T
            ratios = variances / total if total else np.zeros(kept)
            return cls(mean, rows, np.ldexp(variances, 2 * half), ratios, matrix, np.ascontiguousarray(back))
