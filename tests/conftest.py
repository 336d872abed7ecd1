"""What all tests share."""

import os

import pytest

# Before anything imports scipy, which reads it once.
os.environ["SCIPY_ARRAY_API"] = "1"

pytest.register_assert_rewrite("hostile")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def keras(torch):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="Keras is not installed")
