"""What all tests share."""

import os

import pytest

# Before anything imports scipy, which reads it once.
os.environ["SCIPY_ARRAY_API"] = "1"

pytest.register_assert_rewrite("hostile")
