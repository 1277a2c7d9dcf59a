"""Pools, scales and masks a unit's residuals in the order of a tool; the order decides what a mask does."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..nets.residuals import pool_over_space

Stage = Literal["pool", "scale", "mask", "mask_bilinear"]
#: "scale" (by strength, block and row) commutes with the rest; a mask before "pool" weakens, one after it cuts out.
Order = tuple[Stage, ...]

#: ComfyUI's order, and the default here: a pooled residual is one value per channel, and the mask limits where it acts.
POOL_FIRST: Order = ("pool", "scale", "mask")

_RESIZE_MODES = {"mask": "area", "mask_bilinear": "bilinear"}


def check_order(order: Order) -> None:
    """Raises ValueError unless `order` holds pool, scale and one kind of mask, each once."""
    kinds = sorted("mask" if stage in _RESIZE_MODES else str(stage) for stage in order)
    if kinds != ["mask", "pool", "scale"]:
        raise ValueError(
            f"`order` is {order}; it must hold 'pool', 'scale' and one of 'mask' and 'mask_bilinear', each once."
        )


def mask_mode(order: Order) -> str:
    """Returns how masks are resized to a block's size: "area" or "bilinear"."""
    return next(_RESIZE_MODES[stage] for stage in order if stage in _RESIZE_MODES)


def weigh(
    block: Tensor, order: Order, gain: float | Tensor, mask: Tensor | None, pooled: bool
) -> Tensor:
    """Returns one block's residual after all stages, in their order.

    Args:
        block: (B, C, h, w).
        order: the stages in order.
        gain: a number for all rows, or one for each, (B, 1, 1, 1).
        mask: (B or 1, 1, h, w), 0..1, or None.
        pooled: whether the ControlNet is pooled ("shuffle"); if not, "pool" does nothing.
    """
    masked: Callable[[Tensor], Tensor] = lambda b: b if mask is None else b * mask  # noqa: E731
    stages: dict[Stage, Callable[[Tensor], Tensor]] = {
        "pool": lambda b: pool_over_space(b) if pooled else b,
        "scale": lambda b: _times(b, gain),
        "mask": masked,
        "mask_bilinear": masked,
    }
    for stage in order:
        block = stages[stage](block)
    return block


def resize_mask(mask: Tensor, like: Tensor, mode: str) -> Tensor:
    """Returns a mask (H, W) or (N, H, W) at a block's size: (N, 1, h, w), in the block's dtype and on its device."""
    full = mask.reshape(-1, 1, *mask.shape[-2:]).to(like.device, torch.float32)
    return F.interpolate(full, size=like.shape[-2:], mode=mode).to(like.dtype)


def _times(block: Tensor, gain: float | Tensor) -> Tensor:
    return block if isinstance(gain, float) and gain == 1.0 else block * gain
