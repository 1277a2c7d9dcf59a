"""UNetConfig: the few numbers in which Stable Diffusion's UNets differ, and the released ones as presets."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

#: Groups of every GroupNorm in Stable Diffusion, so all widths are multiples of it.
NORM_GROUPS = 32


@dataclass(frozen=True)
class UNetConfig:
    """The shape of a Stable Diffusion UNet, and so of its ControlNets.

    Exactly one of `num_heads` and `head_dim` is set: SD1.x fixes the number of attention heads,
    SD2.x and SDXL their width. A tuple of `num_heads` has one number per level; the middle has the last.
    """

    in_channels: int = 4
    out_channels: int = 4
    model_channels: int = 320
    channel_mult: tuple[int, ...] = (1, 2, 4, 4)
    # Residual blocks of every level; or one number per level, for pruned UNets.
    num_res_blocks: int | tuple[int, ...] = 2
    # Transformer blocks by level, 0 = no attention; or a tuple with one number per residual block (SSD-1B).
    transformer_depth: tuple[int | tuple[int, ...], ...] = (1, 1, 1, 0)
    # The middle keeps its norm and projections even at 0 (SDXL "small"); -1 = one residual block alone (SSD-1B).
    middle_depth: int = 1
    context_dim: int = 768
    num_heads: int | tuple[int, ...] | None = 8
    head_dim: int | None = None
    linear_proj: bool = False  # proj_in and proj_out are Linear (SD2.x, SDXL) or 1x1 convs (SD1.x)
    y_dim: int | None = None  # width of the vector condition y (SDXL: 2816)

    def __post_init__(self) -> None:
        widths = [self.model_channels * m for m in self.channel_mult]
        if any(w % NORM_GROUPS for w in widths):
            raise ValueError(
                f"`model_channels` x `channel_mult` gives the widths {widths}; each must be a multiple of "
                f"{NORM_GROUPS}, the number of groups of Stable Diffusion's norms."
            )
        if not len(self.transformer_depth) == len(self._res_blocks) == len(self.channel_mult):
            raise ValueError(
                f"`transformer_depth` has {len(self.transformer_depth)} values, `num_res_blocks` "
                f"{len(self._res_blocks)} and `channel_mult` {len(self.channel_mult)}; give one of each per level."
            )
        for level, (blocks, depths) in enumerate(zip(self._res_blocks, self.depths, strict=True)):
            if len(depths) != blocks:
                raise ValueError(
                    f"`transformer_depth` has {len(depths)} values for the {blocks} residual blocks of level {level}."
                )
        if (self.num_heads is None) == (self.head_dim is None):
            raise ValueError("Set exactly one of `num_heads` (SD1.x) and `head_dim` (SD2.x, SDXL).")
        if isinstance(self.num_heads, tuple) and len(self.num_heads) != len(self.channel_mult):
            raise ValueError(
                f"`num_heads` has {len(self.num_heads)} values for {len(self.channel_mult)} levels; give one per level."
            )

    @property
    def _res_blocks(self) -> tuple[int, ...]:
        count = self.num_res_blocks
        return (count,) * len(self.channel_mult) if isinstance(count, int) else count

    @property
    def depths(self) -> tuple[tuple[int, ...], ...]:
        """Transformer blocks after every residual block of the encoder, by level."""
        pairs = zip(self._res_blocks, self.transformer_depth, strict=True)
        return tuple((depth,) * n if isinstance(depth, int) else depth for n, depth in pairs)

    @property
    def emb_dim(self) -> int:
        """Width of the timestep embedding."""
        return 4 * self.model_channels

    @property
    def encoder(self) -> tuple["EncoderBlock", ...]:
        """The encoder's blocks, shallow to deep: the conv-in, then each level's blocks and its downsampling."""
        blocks = [EncoderBlock("conv", self.in_channels, self.model_channels, level=0)]
        width = self.model_channels
        last = len(self.channel_mult) - 1
        for level, mult in enumerate(self.channel_mult):
            for depth in self.depths[level]:
                blocks.append(EncoderBlock("res", width, self.model_channels * mult, level, depth))
                width = self.model_channels * mult
            if level != last:
                blocks.append(EncoderBlock("down", width, width, level + 1))
        return tuple(blocks)

    @property
    def num_blocks(self) -> int:
        """How many residuals a ControlNet of this shape returns: 13 for SD1.x and SD2.x, 10 for SDXL."""
        return len(self.encoder) + 1

    def block_shapes(self, height: int, width: int) -> tuple[tuple[int, int, int], ...]:
        """Returns (channels, height, width) of every block at a latent size, shallow to deep, middle last."""
        shapes = [(b.out_channels, *_halve(height, width, b.level)) for b in self.encoder]
        return (*shapes, shapes[-1])

    def block_sizes(self, height: int, width: int) -> tuple[float, ...]:
        """Returns each block's latent side sqrt(h*w), shallow to deep, middle last: the paper's h_i."""
        return tuple(math.sqrt(h * w) for _, h, w in self.block_shapes(height, width))

    def heads(self, channels: int, level: int) -> tuple[int, int]:
        """Returns (number of heads, width of a head) of an attention over `channels`; -1 is the middle's level."""
        count = self.num_heads[level] if isinstance(self.num_heads, tuple) else self.num_heads
        parts = count or self.head_dim or 0
        if parts < 1 or channels % parts:
            raise ValueError(
                f"An attention over {channels} channels cannot be divided by `num_heads` {self.num_heads} or "
                f"`head_dim` {self.head_dim}."
            )
        other = channels // parts
        return (other, parts) if count is None else (parts, other)

    @property
    def head_counts(self) -> tuple[int, ...]:
        """How many heads each level's attention has; at least 1, even for a level without attention."""
        if isinstance(self.num_heads, tuple):
            return self.num_heads
        widths = [self.model_channels * mult for mult in self.channel_mult]
        return tuple(self.num_heads or max(1, w // (self.head_dim or w)) for w in widths)

    def with_heads(
        self, num_heads: int | tuple[int, ...] | None, head_dim: int | None
    ) -> "UNetConfig":
        """Returns the config with attention divided into other heads."""
        return replace(self, num_heads=num_heads, head_dim=head_dim)

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "UNetConfig":
        """Returns the config of `to_dict()`'s values; unknown names raise TypeError."""
        return cls(**{name: _to_tuples(value) for name, value in values.items()})


@dataclass(frozen=True)
class EncoderBlock:
    """One entry of `input_blocks`: what it is, its widths, its resolution level and attention depth."""

    kind: str  # "conv", "res" or "down"
    in_channels: int
    out_channels: int
    level: int  # the output's sides are the latent's, halved this many times (rounded up)
    depth: int = 0


def _to_tuples(value: Any) -> Any:
    """JSON's lists as tuples."""
    return (
        tuple(_to_tuples(v) for v in cast(list[Any], value)) if isinstance(value, list) else value
    )


def _halve(height: int, width: int, times: int) -> tuple[int, int]:
    for _ in range(times):
        height, width = (height + 1) // 2, (width + 1) // 2
    return height, width


#: Stable Diffusion 1.x.
SD15 = UNetConfig()
#: Stable Diffusion 2.x.
SD21 = UNetConfig(context_dim=1024, num_heads=None, head_dim=64, linear_proj=True)
#: Stable Diffusion XL, the base model.
SDXL = UNetConfig(
    channel_mult=(1, 2, 4),
    transformer_depth=(0, 2, 10),
    middle_depth=10,
    context_dim=2048,
    num_heads=None,
    head_dim=64,
    linear_proj=True,
    y_dim=2816,
)
