"""`Table` as an estimator: with parameters that scikit-learn can clone, `set_output` and a diagram."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils._set_output import _get_output_config

from streamnorm.arrow import frame_of
from streamnorm.errors import DataError
from streamnorm.tables import Table

__all__ = ["TableNormalizer"]


class TableNormalizer(Table, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):  # type: ignore
    """Normalise the numeric columns of whole tables and leave the others untouched.

    Parameters
    ----------
    default : str, estimator or None, default="standard"
        The scaler of every integer, floating and decimal column that is not named in `columns`: a name
        (``"standard"``, ``"minmax"``) or an estimator of this package with its parameters. None: only
        the columns named.
    columns : mapping of str to (str or estimator), optional
        The scaler of single columns, by their names or by patterns (``"price_*"``; a name counts before a
        pattern): ``"none"`` leaves a column alone, ``"drop"`` leaves it out of the result.
    exclude : str or sequence of str, default=()
        Columns to leave alone, by names or patterns.
    by : str or sequence of str, optional
        Key columns of text, integers or dates: statistics are kept and applied per key. Null is a key like
        others. A batch costs what its own keys cost, however many are known; large ones are fastest. In memory a
        standardised column takes about 100 bytes a key, a histogram 16 bytes for each of its bins, and a key its own
        size.
    unseen : {"global", "error", "null", "keep"}, default="global"
        What becomes of values whose key was not seen in the fit: the statistics of all rows are used, it is
        an error, they become null, or they stay as they are.
    min_count : int, default=1
        A key that has had fewer values of a column uses the statistics of all rows.
    dtype : numpy dtype, optional
        Of the normalised columns; by default float32 for float32 and float64 for the rest.
    suffix : str, default=""
        If given, the columns stay and the normalised ones are added at the end, with this behind their
        names.
    infinite : {"error", "skip"}, default="error"
        Whether an infinity is refused, or counted and left out of the statistics.
    vectors : {"element", "whole", "unit"}, default="element"
        Whether a column of vectors has statistics for each element, or one mean and scale for all; or each vector is
        divided by its own length (L2 norm), of which nothing is learnt, whatever the scaler. A vector of zeros and a
        null stay what they are, and one with a missing element is refused, as by `Normalizer`.
    profile : bool, default=False
        Whether to keep exact moments and a histogram of at most 4096 bins of every column beside what its
        scaler needs, for `streamnorm.report`. A profile is merged, forgotten and compared like all else:
        states with and without one are not equal and cannot be added.
    missing_columns : {"error", "skip"}, default="error"
        Whether a table to be mapped must have all columns that were learnt from, or those it has are mapped: the
        target alone on the way back, or all but the target where a model is served. Not part of a state file.
    time : str, optional
        The column that tells when a row was, for scalers with a `halflife` that name none themselves: timestamps,
        dates, text that tells one, or numbers. It is read in learning only, and left alone.

    Attributes
    ----------
    feature_names_in_ : ndarray of str, shape (n_features,)
        The columns that are normalised, in the table's order.
    n_features_in_ : int
        How many.

    Examples
    --------
    >>> import pyarrow as pa
    >>> import streamnorm as sn
    >>> table = pa.table({"shop": ["a", "b", "b"], "price": [1.0, 2.0, None], "age": [10, 30, 20]})
    >>> normalizer = sn.TableNormalizer(columns={"age": sn.MinMaxScaler()})
    >>> normalizer.fit_transform(table).to_pydict()
    {'shop': ['a', 'b', 'b'], 'price': [-1.0, 1.0, None], 'age': [0.0, 1.0, 0.5]}
    """

    @property
    def n_features_in_(self) -> int:
        """Number of columns that are normalised."""
        return len(self._types())

    @property
    def feature_names_in_(self) -> Any:
        """Names of the columns that are normalised."""
        return np.asarray(list(self._types()), dtype=object)

    def _types(self) -> Any:
        if not self.__sklearn_is_fitted__():
            raise AttributeError("this TableNormalizer is not fitted yet.")
        return self.learnt.types

    def get_feature_names_out(self, input_features: Any = None) -> Any:
        """Give the names of the normalised columns, shape (n_features,)."""
        self._types()
        return np.asarray(list(self.inputs(False).values()), dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        return tags

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` gives, whatever it is given.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            "default" for the kind of the input; None to leave the choice as it is.
        """
        if transform not in (None, "default", "pandas", "polars"):
            raise DataError(f"set_output takes 'default', 'pandas' or 'polars', got {transform!r}.")
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    def _html_repr(self) -> str:
        """Show in a notebook, below scikit-learn's diagram, what was learnt: as any user would ask for it."""
        diagram = str(super()._html_repr())
        if not self.__sklearn_is_fitted__():
            return diagram
        import streamnorm

        return diagram + streamnorm.report.show(self)._repr_html_()

    def transform(self, X: Any) -> Any:
        """Normalise the columns learnt from, as `Table.transform` does; `set_output` chooses the container."""
        result = super().transform(X)
        wanted = _get_output_config("transform", self)["dense"]
        return result if wanted == "default" else frame_of(result, wanted)

    def frozen(self) -> Any:
        """Give this fitted normalizer wrapped so that a Pipeline's `fit` leaves it as it is.

        Returns
        -------
        sklearn.frozen.FrozenEstimator
        """
        from sklearn.frozen import FrozenEstimator

        return FrozenEstimator(self)

    def to_sklearn(self) -> Any:
        """Give a ColumnTransformer of plain fitted estimators, as `streamnorm.export.to_sklearn` does."""
        import streamnorm

        return streamnorm.export.to_sklearn(self)
