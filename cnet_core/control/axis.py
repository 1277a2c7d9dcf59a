"""BlockAxis: the blocks of any control net, in order from fine detail to overall layout."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

#: How deep the axis of a model without a UNet is: that of SD1.x, so that `soft` spans the same range.
DEPTH = 12


@dataclass(frozen=True)
class BlockAxis:
    """Where each block of a control net stands between fine detail (depth 0) and layout (depth `last`).

    Attributes:
        depths: of each of the net's own blocks, in their order.
        last: the depth of the deepest place in the model.
        sizes: side sqrt(h*w) of each block's maps; None where the model works on tokens.
        largest: the side of the model's largest maps.
    """

    depths: tuple[float, ...]
    last: float
    sizes: tuple[float, ...] | None = None
    largest: float = 1.0

    @classmethod
    def of_unet(cls, block_sizes: Sequence[float]) -> "BlockAxis":
        """Returns the axis of a net with one block for each of a UNet's: skips shallow to deep, then the middle."""
        last = len(block_sizes) - 1
        return cls(tuple(range(last + 1)), last, tuple(block_sizes), max(block_sizes))

    @classmethod
    def of_tokens(cls, blocks: int) -> "BlockAxis":
        """Returns the axis of a net for a diffusion transformer, whose first block is taken to make the layout."""
        steps = max(blocks - 1, 1)
        return cls(tuple(DEPTH * (1 - i / steps) for i in range(blocks)), DEPTH)

    @property
    def positions(self) -> tuple[float, ...]:
        """Where each block stands, 0 (fine detail) to 1 (layout)."""
        return tuple(depth / self.last for depth in self.depths)

    def take(self, blocks: Sequence[int]) -> "BlockAxis":
        """Returns the axis of some blocks, in this order."""
        sizes = None if self.sizes is None else tuple(self.sizes[block] for block in blocks)
        return replace(self, depths=tuple(self.depths[block] for block in blocks), sizes=sizes)
