"""scikit-learn's own checks, on every normalizer, with no expected failure and no skip."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import streamnorm as sn


@parametrize_with_checks([sn.StandardScaler(), sn.MinMaxScaler(), sn.MaxAbsScaler(), sn.StandardScaler(with_mean=False)])
def test_check(estimator, check):
    check(estimator)
