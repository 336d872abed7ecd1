"""To SQL: one query that maps as `transform` does, in the dialect of a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from streamnorm.errors import DataError
from streamnorm.export._maps import ColumnMap, Pieces, maps_of
from streamnorm.export._needs import need
from streamnorm.plans import FAR, Affine, Monotone, Squashed
from streamnorm.tables import Table

__all__ = ["DIALECTS", "dump_sql", "to_sql"]

#: What queries are written for, and whether ``SELECT * REPLACE`` is known there.
DIALECTS = {"duckdb": True, "spark": False, "bigquery": True, "snowflake": True, "postgres": False}
#: Where names that differ in case alone are one, quoted or not.
_CASELESS = {"duckdb", "spark", "bigquery"}


def to_sql(normalizer: Any, *, dialect: str = "duckdb", table: str | Sequence[str] = "source",
           keep: Sequence[str] = ()) -> str:  # fmt: skip
    """Give a query that normalises a table.

    In DuckDB and Spark its numbers are those of `transform`, bit for bit. Nulls stay null and NaN stays NaN. All other
    columns are kept where the dialect can say so (``SELECT *`` with a suffix, ``SELECT * REPLACE`` without);
    in Spark and Postgres those in `keep` are. Names are quoted. What is too large for a float32 result is an error in
    `transform` and DuckDB, and infinite in Spark.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        Fitted. The arithmetic is in float64; what is float32 afterwards is rounded once.
    dialect : {"duckdb", "spark", "bigquery", "snowflake", "postgres"}, default="duckdb"
    table : str or sequence of str, default="source"
        The table's name; a sequence for one with a schema or a catalog, as ``("sales", "orders")``.
    keep : sequence of str, default=()
        Other columns to pass on, in front, rather than all of them.

    Returns
    -------
    str
        The query, without a semicolon.

    Raises
    ------
    DataError
        If a column becomes a normal variable, which SQL has no function for, or there is no such dialect; or
        columns are dropped and `keep` does not say which stay, or it has the name of a result, or names differ in
        case alone and the dialect knows no case.
    OutputError
        If sqlglot is not installed.

    Examples
    --------
    >>> import streamnorm as sn
    >>> from streamnorm import export
    >>> scaler = sn.StandardScaler(with_mean=False).fit([[1.0], [3.0]])
    >>> print(export.to_sql(scaler, dialect="bigquery", table=("sales", "orders")))
    SELECT
      * REPLACE (CAST(`x0` AS FLOAT64) / CAST('1.0' AS FLOAT64) AS `x0`)
    FROM `sales`.`orders`
    """
    exp = _expressions()
    if dialect not in DIALECTS:
        raise DataError(f"there is no dialect {dialect!r}; there are {', '.join(DIALECTS)}.")
    columns = maps_of(normalizer)
    if isinstance(normalizer, Table) and normalizer.learnt.dropped and not keep:
        raise DataError(f"column {normalizer.learnt.dropped[0]!r} is dropped: say which columns to keep (--keep).")
    _check_names(columns, keep, dialect)
    twice = {column.target for column in columns} & set(keep)
    if twice:
        raise DataError(f"column {min(twice)!r} is in the query already, normalised: leave it out of keep (--keep).")
    mapped = [exp.alias_(_expression(column), column.target, quoted=True, copy=False) for column in columns]
    kept = [exp.column(name, quoted=True) for name in keep]
    replaced = [own for own, column in zip(mapped, columns, strict=True) if column.name == column.target]
    if kept:
        selected = [*kept, *mapped]
    elif not replaced:
        selected = [exp.Star(), *mapped]
    else:
        added = [own for own in mapped if own not in replaced]
        selected = [exp.Star(replace=replaced), *added] if DIALECTS[dialect] else mapped
    parts = [table] if isinstance(table, str) else list(table)
    name = exp.table_(*reversed(parts), quoted=True)
    query = exp.select(*selected, copy=False).from_(name, copy=False)
    return str(query.sql(dialect, pretty=True, max_text_width=100))


def _check_names(columns: Sequence[ColumnMap], keep: Sequence[str], dialect: str) -> None:
    """Raise DataError for names that differ in case alone, where they are one for the dialect.

    Parameters
    ----------
    columns : sequence of ColumnMap
    keep : sequence of str
        Columns that pass.
    dialect : str
    """
    if dialect not in _CASELESS:
        return
    for names in ([column.name for column in columns], [*(column.target for column in columns), *keep]):
        seen: dict[str, str] = {}
        for name in names:
            if seen.setdefault(name.casefold(), name) != name:
                one = seen[name.casefold()]
                raise DataError(f"columns {one!r} and {name!r} are one for {dialect}: rename one, or leave it out.")


def _expressions() -> Any:
    return need("sqlglot.expressions", "pip install 'streamnorm[export]'")


def _expression(column: ColumnMap) -> Any:
    """Write a column's map, in float64, and cast to the type of the result."""
    small = column.dtype is None and column.kind in ("float", "halffloat")
    plan = column.plan
    value = (
        _pieces(column) if isinstance(plan, Monotone)
        else _squashed(column, plan) if isinstance(plan, Squashed) else _affine(column, plan)
    )  # fmt: skip
    return _cast(value, "float") if small or column.dtype in ("float32", "float16") else value


def _column(column: ColumnMap) -> Any:
    exp = _expressions()
    value = exp.column(column.name, quoted=True)
    return _cast(_cast(value, "int") if column.kind == "bool" else value, "double")


def _affine(column: ColumnMap, plan: Affine) -> Any:
    """Write the steps of an affine plan."""
    exp = _expressions()
    operators: dict[Any, Any] = {np.subtract: exp.Sub, np.add: exp.Add, np.multiply: exp.Mul, np.divide: exp.Div}
    value = _column(column)
    for step in plan.steps:
        inner = exp.paren(value, copy=False) if isinstance(value, exp.Binary) else value
        value = operators[step.operation](this=inner, expression=_number(step.operand[0]))
    ends = list(zip((exp.LT, exp.GT), map(float, plan.bounds(0) or ()), strict=False))
    limits = [(beyond(this=value, expression=_number(b)), _number(b)) for beyond, b in ends if np.isfinite(b)]
    return _unless_nan(value, limits, value) if limits else value


def _squashed(column: ColumnMap, plan: Squashed) -> Any:
    """Write what bends towards a bound; a bound is told apart, since of it ``1 + part * part`` may be infinite."""
    exp = _expressions()
    x, bound = _column(column), plan.bound
    if plan.constant[0]:
        ends = [(x.eq(_number(sign * np.inf)), _number(sign * bound)) for sign in (1.0, -1.0)]
        return _unless_nan(x, ends, exp.Sub(this=x.copy(), expression=x.copy()))  # 0, and null of null
    steps = [(exp.Mul, plan.unit[0])] if plan.unit[0] != 1 else []
    z = x
    for operation, operand in [*steps, (exp.Sub, plan.centre[0]), (exp.Div, plan.scale[0])]:
        z = exp.paren(operation(this=z, expression=_number(operand)), copy=False)
    part = exp.paren(exp.Div(this=z, expression=_number(bound)), copy=False)
    root = exp.Sqrt(this=exp.Add(this=_number(1.0), expression=exp.Mul(this=part, expression=part.copy())))
    ends = [(exp.GTE(this=part, expression=_number(FAR)), _number(bound)),
            (exp.LTE(this=part, expression=_number(-FAR)), _number(-bound))]  # fmt: skip
    return _unless_nan(z, ends, exp.Div(this=z.copy(), expression=root))


def _pieces(column: ColumnMap) -> Any:
    """Write a map through quantiles as halvings, so that a row takes few comparisons."""
    exp = _expressions()
    p, x = Pieces.of(column, "SQL"), _column(column)
    x = x if p.unit == 1 else exp.paren(exp.Mul(this=x, expression=_number(p.unit)), copy=False)
    if np.isnan(p.u[0]):  # no value was seen; most databases take NaN for the greatest number
        return exp.Mul(this=x, expression=_number(np.nan))
    ends = [
        (exp.LTE(this=x, expression=_number(p.u[0])), _number(0.0)),
        (exp.GTE(this=x, expression=_number(p.u[-1])), _number(1.0)),
    ]
    return _unless_nan(x, ends, _between(p, x, 0, len(p.slope)))


def _between(p: Pieces, x: Any, start: int, stop: int) -> Any:
    """Write the pieces of a piecewise linear map from one knot to another, by halving.

    Parameters
    ----------
    p : Pieces
        Knots of a piecewise linear map.
    x : expression
        The value.
    start : int
        The first knot.
    stop : int
        Behind the last knot.
    """
    exp = _expressions()
    if stop - start > 1:
        middle = (start + stop) // 2
        below = exp.LT(this=x.copy(), expression=_number(p.u[middle]))
        case = exp.Case().when(below, _between(p, x, start, middle), copy=False)
        return case.else_(_between(p, x, middle, stop), copy=False)
    u, following, slope = float(p.u[start]), float(p.u[stop]), float(p.slope[start])
    left, right = float(p.left[start]), float(p.right[start])
    rise = _product(slope, exp.Sub(this=x.copy(), expression=_number(u)))
    fall = _product(slope, exp.Sub(this=_number(following), expression=x.copy()))
    above = exp.paren(exp.Add(this=rise, expression=_number(left)), copy=False)
    below = exp.paren(exp.Sub(this=_number(right), expression=fall), copy=False)
    value = _product(0.5, exp.Add(this=above, expression=below))
    if 0.5 * (left + (right - slope * (following - u))) == p.at[start]:
        return value
    return exp.Case().when(x.eq(_number(u)), _number(p.at[start]), copy=False).else_(value, copy=False)


def _product(factor: float, value: Any) -> Any:
    exp = _expressions()
    return exp.Mul(this=_number(factor), expression=exp.paren(value, copy=False))


def _unless_nan(tested: Any, whens: Sequence[tuple[Any, Any]], otherwise: Any) -> Any:
    """Write a CASE that leaves NaN alone.

    Where NaN is greater than every number, as in DuckDB, Spark, Snowflake and Postgres, it equals itself;
    where it does not, as in BigQuery, no comparison holds.

    Parameters
    ----------
    tested : expression
    whens : sequence of (expression, expression)
        Conditions and results.
    otherwise : expression
    """
    exp = _expressions()
    case = exp.Case().when(exp.EQ(this=tested.copy(), expression=_number(np.nan)), tested.copy(), copy=False)
    for condition, value in whens:
        case = case.when(condition.copy(), value, copy=False)
    return case.else_(otherwise.copy() if otherwise is tested else otherwise, copy=False)


def _cast(value: Any, kind: str) -> Any:
    exp = _expressions()
    return exp.Cast(this=value, to=exp.DataType(this=exp.DataType.Type[kind.upper()]))


def _number(value: Any) -> Any:
    """Write a number as text that is cast: a bare 0.1 is a decimal in most databases."""
    number = float(value)
    return _cast(_expressions().Literal.string("NaN" if np.isnan(number) else repr(number)), "double")


def dump_sql(query: str) -> bytes:
    """Give what `to_sql` gave as the content of a file."""
    return f"{query};\n".encode()
