"""SharedByCopies: an object that stays the same when other packs copy the options that hold it."""

from typing import Any, TypeVar

S = TypeVar("S", bound="SharedByCopies")


class SharedByCopies:
    """Is its own deep copy. Packs deep-copy the options during a run, but nets and caches must not be copied."""

    def __deepcopy__(self: S, memo: dict[int, Any]) -> S:
        return self
