"""Where in a `control` nets add something. It is the same at every step of a run, so it is worked out once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from ....cnet_core.xray.record import MIDDLE
from .blocks import KEYS, unet_depth

#: By key, which own block of a net each entry is; None for no entry.
Owners = tuple[tuple[int | None, ...], ...]
#: How many different controls are remembered.
REMEMBERED = 16


@dataclass(frozen=True)
class EntryPlace:
    """One entry of a control at which nets add something.

    Attributes:
        key, index: of the entry.
        block: of the X-ray.
        own: which net, and which of its blocks.
    """

    key: str
    index: int
    block: int
    own: tuple[tuple[int, int], ...]

    @cached_property
    def name(self) -> str:
        """What errors call it."""
        return f"`{self.key}` {self.index}"


@lru_cache(maxsize=REMEMBERED)
def list_places(
    counts: tuple[int, ...], owners: tuple[Owners, ...], skips: int | None
) -> tuple[EntryPlace, ...]:
    """Returns the entries at which nets add something.

    Args:
        counts: entries by key.
        owners: of each net.
        skips: skip connections of a UNet; None for other models.
    """
    found: list[EntryPlace] = []
    for at, key in enumerate(KEYS):
        for index in range(counts[at]):
            own = _own_blocks(owners, at, index)
            before = sum(counts[:at])
            block = before + index if skips is None else unet_depth(key, index, counts[at], skips)
            found += [EntryPlace(key, index, block, own)] if own else []
    return tuple(found)


def _own_blocks(owners: Sequence[Owners], at: int, index: int) -> tuple[tuple[int, int], ...]:
    entries = [(net, by_key[at][index : index + 1]) for net, by_key in enumerate(owners)]
    return tuple((net, block) for net, entry in entries for block in entry if block is not None)


@lru_cache(maxsize=REMEMBERED)
def name_blocks(
    counts: tuple[int, ...], words: tuple[str, ...], skips: int | None
) -> tuple[str, ...]:
    """Returns the names of a model's blocks for the X-ray; `words` by key are put before their numbers."""
    if skips is not None:
        return (*map(str, range(skips)), MIDDLE)
    return tuple(
        f"{word}{index}" for word, n in zip(words, counts, strict=True) for index in range(n)
    )
