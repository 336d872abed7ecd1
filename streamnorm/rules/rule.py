"""A rule: which summary a scaler needs, and which plan is made of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamnorm.errors import DataError
from streamnorm.once import once
from streamnorm.plans import Plan
from streamnorm.rules.decay import Decay, halflife_text
from streamnorm.rules.treatment import PLAIN, Steps
from streamnorm.summaries import Given, GivenOf, ProfiledOf, SummaryType, needed

__all__ = ["BoundRule", "Params", "Rule", "canonical"]

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """A row of the table.

    Parameters
    ----------
    name : str
        As written on the command line.
    estimator : str
        The scikit-learn estimator's class.
    summary : callable
        Parameters to what makes the summaries.
    attributes : mapping of str to callable
        Fitted attributes of the estimator, each a function of summary and parameters.
    plan : callable
        Summary and parameters to the map of the columns.
    defaults : mapping
        The estimator's parameters that matter to the plan.
    check : callable
        Raises DataError where the parameters cannot be.
    refuses_sparse : callable
        Parameters to the error for sparse input that would have to be filled in, None where it need not.
    lacking : callable
        Summary and parameters to whether each column has too few values for its statistics.
    given : mapping of str to (str or None)
        The statistics that may be given instead of learnt, each with the parameter that is false without it.
    of_rows : tuple of str
        Attributes that only rows give.
    later : mapping
        Parameters that states of before do not name, each with a value of its kind, or None where `check` alone knows
        it. They are written only where they are not as by default, so that equal rows keep their digest.
    in_tables : mapping
        Parameters of the estimator that are no rule's, and what they are in a table.
    """

    name: str
    estimator: str
    summary: Callable[[Params], SummaryType]
    attributes: Mapping[str, Callable[[Any, Params], Any]]
    plan: Callable[[Any, Params], Plan]
    defaults: Params
    check: Callable[[Params], None] = lambda params: None
    refuses_sparse: Callable[[Params], Exception | None] = lambda params: None
    lacking: Callable[[Any, Params], NDArray[np.bool_]] = lambda summary, params: summary.counts.values == 0
    given: Mapping[str, str | None] = field(default_factory=dict)
    of_rows: tuple[str, ...] = ()
    later: Params = field(default_factory=dict)
    in_tables: Params = field(default_factory=dict)

    def like(self, name: str) -> Any:
        """Give a value of a parameter's kind: its default, unless that is None."""
        return self.later.get(name, self.defaults[name])

    def check_in_tables(self, given: Params) -> None:
        """Raise DataError where an estimator of these parameters makes several columns of one of a table."""
        for name, value in self.in_tables.items():
            if given.get(name, value) != value:
                raise DataError(
                    f"a column of a table stays one column, and {self.estimator} has {name}={given[name]!r}: fit with "
                    f"{name}={value!r}."
                )

    def tuples(self, params: Params) -> dict[str, Any]:
        """Give parameters as the estimator has them, of which lists were made on the way through a file."""
        return {
            name: tuple(value) if isinstance(self.like(name), tuple) and isinstance(value, list) else value
            for name, value in params.items()
        }


@dataclass(frozen=True)
class BoundRule:
    """A rule with its parameters, and what is done to its columns beside.

    With `profile`, its summaries keep histogram and moments of the columns beside what the rule needs. With `given`,
    its statistics were given and are not learnt.
    """

    rule: Rule
    params: Params
    steps: Steps = PLAIN
    profile: bool = False
    given: bool = False

    def __post_init__(self) -> None:
        unknown = set(self.params) - set(self.rule.defaults)
        if unknown:
            raise DataError(
                f"{self.rule.name!r} has no parameter {min(unknown)!r}; it has {', '.join(self.rule.defaults)}."
            )
        self.rule.check(self.params)
        if self.params.get("halflife") is not None:  # one way for equal ones, of all the types that they come as
            params = {**self.params, "halflife": halflife_text(self.params["halflife"])}
            object.__setattr__(self, "params", MappingProxyType(params))

    def __repr__(self) -> str:
        return f"rule_of({', '.join([repr(self.rule.name), *self._options()])})"

    def __str__(self) -> str:
        options = [
            *self._options(),
            *(["profile=True"] if self.profile else []),
            *(["of given statistics"] if self.given else []),
        ]
        return f"{self.rule.name}({', '.join(options)})"

    def _options(self) -> list[str]:
        own = {name: value for name, value in self.params.items() if value != self.rule.defaults[name]}
        return [f"{name}={value!r}" for name, value in (own | self.steps.to_json()).items()]

    @property
    def summary(self) -> SummaryType:
        """What makes this rule's summaries."""
        if self.given:
            return GivenOf(frozenset(self.rule.given))
        kind = self.rule.summary(self.params)
        return ProfiledOf(kind) if self.profile else self.steps.summary(kind)

    @once
    def plain_params(self) -> dict[str, Any]:
        """The parameters as `canonical` writes them, without those that came later and are as by default."""
        written = {name: canonical(value, self.rule.like(name)) for name, value in self.params.items()}
        usual = [name for name in self.rule.later if written.get(name) == self.rule.defaults[name]]
        return {name: value for name, value in written.items() if name not in usual}

    @once
    def decay(self) -> Decay | None:
        """How rows weigh by their time; None where they do not, or it is not said yet which column has it."""
        halflife, time = (self.plain_params.get(name) for name in ("halflife", "time"))
        return None if halflife is None or time is None else Decay(halflife, time)

    def by_time(self, time: str | None) -> BoundRule:
        """Give the rule with the column of times that is meant where it names none."""
        if self.params.get("halflife") is None or self.params.get("time") is not None:
            return self
        if time is None:
            raise DataError("halflife needs to know which column the times are in: give time='...', its name.")
        return dataclasses.replace(self, params=MappingProxyType({**self.params, "time": time}))

    @once
    def key(self) -> tuple[str, ...]:
        """Equal exactly for equal rules with equal parameters and steps."""
        steps = [] if self.steps == PLAIN else [repr(self.steps.to_json())]
        profile = f"{' and a profile' if self.profile else ''}{' as given' if self.given else ''}"
        return self.rule.name, repr(sorted(self.plain_params.items())) + profile, *steps

    @property
    def attributes(self) -> list[str]:
        """Names of the fitted attributes that there are."""
        return [name for name in self.rule.attributes if not (self.given and name in self.rule.of_rows)]

    def attribute(self, name: str, summary: Any) -> Any:
        """Compute a fitted attribute, once a summary; arrays are views of what cannot be written to."""
        if name not in self.attributes:
            raise AttributeError(f"there is no {name}: the statistics were given, and no rows were counted.")
        value = summary.cached((self.key, name), lambda: self.rule.attributes[name](needed(summary), self.params))
        if not isinstance(value, np.ndarray):
            return value
        view = value.view()
        view.flags.writeable = False
        return view

    def lacking(self, summary: Any) -> NDArray[np.bool_]:
        """Tell which columns have too few values for their statistics, whatever the rows were grouped by."""
        if isinstance(summary, Given):
            return np.zeros(len(summary), np.bool_)
        found: NDArray[np.bool_] = summary.cached(
            (self.key, "lacking"), lambda: self.rule.lacking(needed(summary.overall), self.params)
        )
        return found

    def plan(self, summary: Any) -> Plan:
        """Make the plan, once a summary."""

        def make() -> Plan:
            return self.steps.finish(self.rule.plan(needed(summary), self.params), summary)

        plan: Plan = summary.cached((self.key, "plan"), make)
        return plan

    def filling(self, summary: Any) -> NDArray[np.float64] | None:
        """Give what missing values of each column become before they are scaled, once a summary."""
        values: NDArray[np.float64] | None = summary.cached((self.key, "filling"), lambda: self.steps.filling(summary))
        return values


def canonical(value: Any, default: Any) -> Any:
    """Write a parameter as its default is written, so that equal values are one: 1, 1.0 and NumPy's.

    Examples
    --------
    >>> canonical(1.0, default=0), canonical(0.5, default=0), canonical((25, 75), default=(25.0, 75.0))
    (1, 0.5, (25.0, 75.0))
    """
    if type(value) is type(default) and not isinstance(value, tuple):
        return value
    if isinstance(default, tuple) and isinstance(value, (tuple, list)) and len(value) == len(default):
        return tuple(map(canonical, value, default))
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, type):
        return np.dtype(value).name
    if not isinstance(value, Real):
        return value
    whole = (default is None or isinstance(default, int)) and (isinstance(value, Integral) or float(value).is_integer())
    number: Any = value
    return int(number) if whole else float(number)
