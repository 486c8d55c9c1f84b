"""A bounded cache: the values that were used last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

MOST = 64  # values
LIMIT = 4 * 2**30  # bytes

Value = TypeVar("Value")


class Recent:
    """The values used last, by key: at most `most` of them, of at most `limit` bytes together. The value that was used
    last always stays, whatever its size. A value may have a version: one of another version counts as not there.

    For one thread.
    """

    def __init__(self, most: int = MOST, limit: int = LIMIT):
        self._most, self._limit = most, limit
        self._values: OrderedDict[Hashable, tuple[Hashable, Any, int]] = OrderedDict()

    def get(self, key: Hashable, version: Hashable = None) -> Any:
        """The value, which counts as used; None where there is none of this version."""
        entry = self._values.get(key)
        if entry is None or entry[0] != version:
            return None
        self._values.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: Value, version: Hashable = None, size: int = 0) -> Value:
        """Keep a value of `size` bytes, in place of the former one of this key; returns it."""
        self._values[key] = (version, value, size)
        self._values.move_to_end(key)
        while len(self._values) > 1 and (len(self._values) > self._most or self.size > self._limit):
            self._values.popitem(last=False)
        return value

    def made(
        self,
        key: Hashable,
        make: Callable[[], Value],
        version: Hashable = None,
        size: Callable[[Value], int] = lambda value: 0,
    ) -> Value:
        """The value, made where there is none of this version. `size` is asked once, in bytes."""
        value = self.get(key, version)
        if value is None:
            value = make()
            self.put(key, value, version, size(value))
        return value

    def clear(self) -> None:
        """Let go of all values."""
        self._values.clear()

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, those used last at the end."""
        return iter(list(self._values))

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(size for _, _, size in self._values.values())
