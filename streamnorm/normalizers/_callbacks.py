"""scikit-learn's callbacks, which it has from version 1.9 on; before, an estimator has no `set_callbacks`."""

from __future__ import annotations

__all__ = ["CallbackSupportMixin", "with_callbacks"]

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Add nothing: there are no callbacks to support."""

    def with_callbacks(method):  # type: ignore[no-untyped-def]
        """Give the method as it is, which nothing calls without callbacks."""
        return method
