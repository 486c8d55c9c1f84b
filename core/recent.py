"""A bounded cache of the most recently used values."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

MOST = 64  # values
LIMIT = 4 * 2**30  # bytes

Value = TypeVar("Value")


class Recent:
    """The most recently used values by key: at most `most` values and `limit` bytes in total. The last used value is
    always kept, whatever its size. A value may have a version; a lookup with another version finds nothing.

    Not thread-safe.
    """

    def __init__(self, most: int = MOST, limit: int = LIMIT):
        self._most, self._limit = most, limit
        self._values: OrderedDict[Hashable, tuple[Hashable, Any, int]] = OrderedDict()

    def get(self, key: Hashable, version: Hashable = None) -> Any:
        """The value, which counts as used; None if there is none of this version."""
        entry = self._values.get(key)
        if entry is None or entry[0] != version:
            return None
        self._values.move_to_end(key)
        return entry[1]

    def put(self, key: Hashable, value: Value, version: Hashable = None, size: int = 0) -> Value:
        """Store a value of `size` bytes under a key, replacing an earlier one; returns the value."""
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
        """The value; `make` is called if there is none of this version. `size(value)` is its size in bytes."""
        value = self.get(key, version)
        if value is None:
            value = make()
            self.put(key, value, version, size(value))
        return value

    def clear(self) -> None:
        """Drop all values."""
        self._values.clear()

    def __iter__(self) -> Iterator[Hashable]:
        """The keys, the most recently used last."""
        return iter(list(self._values))

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return sum(size for _, _, size in self._values.values())
