"""streamnorm: normalise numeric data too large for memory, on exact statistics."""

__version__ = "0.1.0"
