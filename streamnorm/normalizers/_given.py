"""Scalers of statistics that are known already, and were not learnt here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError, listed
from streamnorm.rules import Rule
from streamnorm.summaries import GIVEN, Given

__all__ = ["FromStatistics"]


class FromStatistics:
    """A fitted scaler whose plan is given by a few numbers, which may be given."""

    _rule: ClassVar[Rule]

    if TYPE_CHECKING:

        def restore(self, summary: Any, names: Sequence[str] | None) -> Self: ...

        def _validate_params(self) -> None: ...

    @classmethod
    def from_statistics(cls, *, names: Sequence[str] | None = None, **given: Any) -> Self:
        """Make a fitted scaler of known statistics: those of a paper, of a data sheet, of another system.

        It transforms, exports, and is saved like any other; it has counted no rows, and so can neither learn, nor be
        added to others. In a pipeline that is fitted, put its `frozen()`.

        Parameters
        ----------
        names : sequence of str, optional
            Names of the columns; by default those of the statistics, where these are Series or mappings, or none.
        **given
            The statistics, each of shape (n_features,), or one number: of `StandardScaler` `mean` and `scale` (one of
            them may be left out), of `RobustScaler` `center` and `scale`, of `MinMaxScaler` `data_min` and `data_max`,
            of `MaxAbsScaler` `max_abs`. And the scaler's parameters.

        Returns
        -------
        StandardScaler, RobustScaler, MinMaxScaler or MaxAbsScaler

        Raises
        ------
        DataError
            If a statistic is missing, unknown, not finite, or cannot be.

        Examples
        --------
        >>> import streamnorm as sn
        >>> scaler = sn.StandardScaler.from_statistics(mean=[10.0, 0.0], scale=[2.0, 5.0])
        >>> scaler.transform([[12.0, -5.0]])
        array([[ 1., -1.]])
        >>> sn.MinMaxScaler.from_statistics(data_min=0, data_max=255, names=["pixel"]).scale_.round(5)
        array([0.00392])
        """
        known = cls._rule.given
        if not known:
            raise DataError(
                f"{cls.__name__} is more than a few numbers of each column: fit it to rows, or load a state."
            )
        numbers = {name: given.pop(name) for name in known if given.get(name) is not None}
        numbers, found = _with_names(numbers, names)
        for name, parameter in known.items():
            given.pop(name, None)
            if parameter is None or given.get(parameter):
                _check_there(cls.__name__, name, numbers)
            elif name not in numbers:
                given[parameter] = False
        if not numbers:
            _check_there(cls.__name__, next(iter(known)), numbers)
        odd = next((name for name in given if name not in _parameters_of(cls)), None)
        if odd is not None:
            takes = ", ".join([*known, "names", *_parameters_of(cls)])
            raise DataError(f"{cls.__name__}.from_statistics does not know {odd!r}: it takes {takes}.")
        columns = _columns(numbers, 1 if found is None else len(found))
        _check(columns, found)
        scaler = cls(**given)
        scaler._validate_params()
        return scaler.restore(Given.of_numbers(columns), found)

    def _refuse_to_learn(self) -> None:
        if isinstance(self.__dict__.get("_summary"), Given):
            raise DataError(GIVEN)


def _parameters_of(kind: Any) -> list[str]:
    return list(kind._get_param_names())


def _check_there(scaler: str, name: str, numbers: Mapping[str, Any]) -> None:
    """Raise DataError where a statistic is missing.

    Parameters
    ----------
    scaler : str
        The class.
    name : str
        The statistic.
    numbers : mapping
        Those that were given.
    """
    if name not in numbers:
        raise DataError(f"{scaler}.from_statistics needs {name}, a number or one for each column: give {name}=...")


def _with_names(numbers: dict[str, Any], names: Sequence[str] | None) -> tuple[dict[str, Any], list[str] | None]:
    """Give statistics as arrays, with the names of their columns, by which those of several statistics are matched.

    Parameters
    ----------
    numbers : dict of str to (number, array, Series or mapping)
    names : sequence of str or None
        Names that were given beside.
    """
    found = None if names is None else [str(name) for name in names]
    arrays = {}
    for name, values in numbers.items():
        own = list(values) if isinstance(values, Mapping) else getattr(values, "index", None)
        if own is None or callable(own):
            arrays[name] = values
            continue
        by_name = dict(zip(map(str, own), values.values() if isinstance(values, Mapping) else values, strict=True))
        found = list(by_name) if found is None else found
        if set(found) != set(by_name):
            odd = listed(sorted(map(repr, set(found) ^ set(by_name))))
            raise DataError(f"{name} is given for other columns than the rest, which differ in {odd}: give all alike.")
        arrays[name] = [by_name[column] for column in found]
    return arrays, found


def _columns(numbers: Mapping[str, Any], least: int) -> dict[str, NDArray[np.float64]]:
    """Give statistics as arrays of one number a column, of which there are so many at least."""
    arrays = {}
    for name, values in numbers.items():
        try:
            array = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{name} must be numbers, one for each column, found {values!r}.") from None
        if array.ndim > 1:
            raise DataError(f"{name} must be one number for each column, found shape {array.shape}: flatten it.")
        arrays[name] = np.atleast_1d(array)
    width = max(least, *map(len, arrays.values()))
    for name, array in arrays.items():
        if len(array) not in (1, width):
            raise DataError(f"{name} has {len(array)} numbers where another statistic has {width}: give one a column.")
    return {name: np.broadcast_to(array, width) for name, array in arrays.items()}


def _check(columns: Mapping[str, NDArray[np.float64]], names: Sequence[str] | None) -> None:
    """Raise DataError for a number that no statistic is.

    Parameters
    ----------
    columns : mapping of str to ndarray of shape (n_features,)
    names : sequence of str or None
        Of the columns.
    """
    width = len(next(iter(columns.values())))
    if names is not None and len(names) != width:
        raise DataError(f"there are {len(names)} names for {width} columns: give one for each.")
    remedies = {"scale": "a number above 0 (1 for a constant column)", "max_abs": "a number of at least 0"}
    for name, values in columns.items():
        words = remedies.get(name, "a finite number")
        below = (values <= 0 if name == "scale" else values < 0) if name in remedies else False
        bad = np.flatnonzero(~np.isfinite(values) | below)
        if len(bad):
            column = names[bad[0]] if names is not None else int(bad[0])
            raise DataError(f"{name} of column {column!r} is {float(values[bad[0]])!r}: give {words}.")
    if "data_max" in columns:
        bad = np.flatnonzero(columns["data_min"] > columns["data_max"])
        if len(bad):
            column = names[bad[0]] if names is not None else int(bad[0])
            raise DataError(f"data_min of column {column!r} is greater than data_max: write the smaller number first.")
