"""Arrays of other libraries, where scikit-learn's array API dispatch is switched on; and weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn import get_config
from sklearn.utils._array_api import _convert_to_numpy, _is_numpy_namespace, get_namespace_and_device

from streamnorm.errors import DataError

__all__ = ["Namespace"]


@dataclass(frozen=True)
class Namespace:
    """The library an array belongs to, and the device it is on; numpy for everything that has none."""

    library: Any
    device: Any = None

    @staticmethod
    def matters() -> bool:
        """Tell whether arrays of other libraries are answered in kind."""
        return bool(get_config()["array_api_dispatch"])

    @classmethod
    def of(cls, X: Any) -> Namespace:
        """Find out what X is."""
        if not cls.matters() or sparse.issparse(X):
            return cls(np)
        library, is_array, device = get_namespace_and_device(X)
        return cls(library, device) if is_array and not _is_numpy_namespace(library) else cls(np)

    @property
    def name(self) -> str:
        """The library's name."""
        return str(self.library.__name__)

    def refuse_unless(self, known: str, estimator: str) -> None:
        """Raise DataError unless it is the library that an estimator learnt from, where that matters."""
        if self.name != known and self.matters():
            raise DataError(
                f"Inputs passed to {estimator}.transform() must use the same namespace and the same device as those "
                f"passed to fit(): {known}, not {self.name}."
            )

    def to_numpy(self, X: Any) -> Any:
        """Bring an array to numpy."""
        return X if self.library is np else _convert_to_numpy(X, self.library)

    def from_numpy(self, X: Any) -> Any:
        """Bring an array back."""
        return X if self.library is np else self.library.asarray(X, device=self.device)
