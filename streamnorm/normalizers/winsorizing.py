"""Values limited to where a column's tails begin, as feature-engine's `Winsorizer` has it."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, NoReturn

from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from streamnorm.errors import DataError
from streamnorm.normalizers._estimator import Normalizer
from streamnorm.rules import FOLDS, TAILS

__all__ = ["Winsorizer"]


class Winsorizer(Normalizer, rule="winsor"):
    """Cap what lies far out, in the column's own unit: ``min(max(x, left_tail_caps_), right_tail_caps_)``.

    Parameters
    ----------
    capping_method : {"gaussian", "iqr", "quantiles"}, default="gaussian"
        "gaussian" caps at ``mean - fold * deviation`` and ``mean + fold * deviation``, "iqr" at
        ``q25 - fold * (q75 - q25)`` and ``q75 + fold * (q75 - q25)``, "quantiles" at the quantiles ``fold`` and
        ``1 - fold``.
    tail : {"right", "left", "both"}, default="right"
        Which side is capped: what is great, what is small, or both.
    fold : float or "auto", default="auto"
        As above; 3 for "gaussian", 1.5 for "iqr" and 0.05 for "quantiles", of which it is a share below 0.5.
    copy : bool, default=True
        False to allow `transform` to write over an ndarray of floats.
    max_bins : int, default=4096
        Bins of the histogram that the quantiles are taken from; see `RobustScaler`. "gaussian" keeps none.

    Attributes
    ----------
    left_tail_caps_, right_tail_caps_ : ndarray of shape (n_features,), or None
        Least and greatest result of each column; None of a tail that is not capped. They are infinite where nothing
        varies between them: such a column stays as it is.
    fold_ : float
        The number that `fold` stands for.
    quantile_error_ : ndarray of shape (2, n_features), or None
        Bound on the error of the two quantiles, in the data's unit; None for "gaussian".

    Notes
    -----
    Names, defaults and formulas are those of feature-engine's `Winsorizer`, whose caps are dicts by column. It refuses
    a column in which nothing varies between the caps, and missing values unless told otherwise; here these stay as they
    are. Its "mad" needs deviations from a median that is known only at the end, and is not to be had. What is capped is
    not undone by `inverse_transform`.

    Examples
    --------
    >>> import streamnorm as sn
    >>> X = [[1.0], [2.0], [3.0], [4.0], [1000.0]]
    >>> one = sn.Winsorizer("iqr", "both").fit(X)
    >>> one.left_tail_caps_, one.right_tail_caps_
    (array([-1.]), array([7.]))
    >>> one.transform(X).ravel().tolist()
    [1.0, 2.0, 3.0, 4.0, 7.0]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "capping_method": [StrOptions(set(FOLDS))],
        "tail": [StrOptions(set(TAILS))],
        "fold": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "copy": ["boolean"],
        "max_bins": [Interval(Integral, 2, 65536, closed="both")],
    }

    def __init__(
        self,
        capping_method: str = "gaussian",
        tail: str = "right",
        fold: float | str = "auto",
        *,
        copy: bool = True,
        max_bins: int = 4096,
    ) -> None:
        self.capping_method = capping_method
        self.tail = tail
        self.fold = fold
        self.copy = copy
        self.max_bins = max_bins

    def to_sklearn(self) -> NoReturn:
        """Raise DataError: scikit-learn has no such transformer."""
        check_is_fitted(self)
        raise DataError("scikit-learn has no Winsorizer: transform with streamnorm, or export to onnx or sql.")
