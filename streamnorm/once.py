"""Attributes computed once, without a lock.

`functools.cached_property` holds one lock for all objects of a class before Python 3.12: threads that read two files
wait for each other, and a process that is forked meanwhile finds it held for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

__all__ = ["once"]

T = TypeVar("T")


class once(Generic[T]):  # noqa: N801 (reads as a decorator)
    """An attribute that is computed when it is first asked for, and kept.

    Threads that ask at the same time may compute it twice; all get the one that was kept.

    Parameters
    ----------
    make : callable
        The method that computes it.

    Examples
    --------
    >>> class Square:
    ...     side = 3
    ...     @once
    ...     def area(self):
    ...         print("computed")
    ...         return self.side**2
    >>> square = Square()
    >>> square.area + square.area
    computed
    18
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> T: ...
    def __get__(self, instance: object | None, owner: type | None = None) -> Self | T:
        if instance is None:
            return self
        kept: T = instance.__dict__.setdefault(self._name, self._make(instance))
        return kept
