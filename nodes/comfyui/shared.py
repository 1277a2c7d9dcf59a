"""SharedByCopies: what stays one object, however often other packs copy the options that hold it."""

from typing import Any, TypeVar

S = TypeVar("S", bound="SharedByCopies")


class SharedByCopies:
    """Is its own deep copy. Packs deep-copy the options of a run in its midst; nets and caches must not follow."""

    def __deepcopy__(self: S, memo: dict[int, Any]) -> S:
        return self
