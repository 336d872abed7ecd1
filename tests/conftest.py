"""What all tests share."""

import os

# Before anything imports scipy, which reads it once.
os.environ["SCIPY_ARRAY_API"] = "1"
