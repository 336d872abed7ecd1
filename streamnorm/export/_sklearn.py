"""To scikit-learn: plain fitted estimators, which need streamnorm no more."""

from __future__ import annotations

import io
import itertools
from typing import Any

from streamnorm.errors import DataError
from streamnorm.export._maps import check_scaling_only
from streamnorm.export._needs import need
from streamnorm.tables import Group, Table

__all__ = ["dump_joblib", "dump_skops", "to_sklearn"]


def to_sklearn(normalizer: Any) -> Any:
    """Give a fitted estimator of scikit-learn with the same numbers.

    Parameters
    ----------
    normalizer : TableNormalizer, StandardScaler, ...
        Fitted. `suffix` and `dtype` of a table do not travel.

    Returns
    -------
    sklearn.preprocessing.StandardScaler, MinMaxScaler, ...
        For a table of several scalers a ColumnTransformer, which takes a data frame; its columns come out in
        the table's order, and columns that are not normalised are left out.

    Raises
    ------
    DataError
        If it is not a fitted normalizer, does more to a column than scaling numbers, or has statistics per key.

    Examples
    --------
    >>> import pandas as pd, streamnorm as sn
    >>> from streamnorm import export
    >>> frame = pd.DataFrame({"price": [1.0, 3.0], "age": [10.0, 30.0]})
    >>> normalizer = sn.TableNormalizer(columns={"age": "minmax"}).fit(frame)
    >>> export.to_sklearn(normalizer).transform(frame)
    array([[-1.,  0.],
           [ 1.,  1.]])
    """
    if not isinstance(normalizer, Table):
        if not hasattr(normalizer, "to_sklearn"):
            raise DataError(f"expected a fitted normalizer, found {type(normalizer).__name__}: fit one first.")
        return normalizer.to_sklearn()
    check_scaling_only(normalizer)
    where = normalizer.learnt.where()
    runs = [list(run) for _, run in itertools.groupby(where, key=lambda name: where[name][0].rule.key)]
    scalers = [_scaler(where[run[0]][0], run) for run in runs]
    return scalers[0] if len(scalers) == 1 else _beside(runs, scalers)


def _scaler(group: Group, names: list[str]) -> Any:
    from streamnorm.normalizers.named import named

    kind = named(group.rule.rule.estimator)
    summary = group.summary.take([group.names.index(name) for name in names])
    return kind(**group.rule.params, **group.rule.rule.in_tables).restore(summary, names).to_sklearn()


def _beside(runs: list[list[str]], scalers: list[Any]) -> Any:
    """Put scalers beside each other, each for its columns."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer

    pairs = enumerate(zip(runs, scalers, strict=True), 1)
    parts = [(f"{type(scaler).__name__}-{i}", scaler, names) for i, (names, scaler) in pairs]
    frame = pd.DataFrame({name: [0.0] for names in runs for name in names})
    beside = ColumnTransformer([(name, "passthrough", names) for name, _, names in parts])
    beside.set_params(verbose_feature_names_out=False).fit(frame)  # learns where the columns are
    beside.transformers = beside.transformers_ = parts
    return beside


def dump_skops(estimator: Any) -> bytes:
    """Give what `to_sklearn` gave as the content of a file, without pickle."""
    skops = need("skops.io", "pip install 'streamnorm[export]', or name a file that ends in .joblib")
    return bytes(skops.dumps(estimator))


def dump_joblib(estimator: Any) -> bytes:
    """Give what `to_sklearn` gave as a pickle, to be loaded by those alone who trust the file."""
    import joblib

    file = io.BytesIO()
    joblib.dump(estimator, file)
    return file.getvalue()
