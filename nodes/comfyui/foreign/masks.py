"""Masks at the size of a residual, whether it is a map or a row of tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor

#: Sides of the patches that become one token, in models of today.
PATCHES = (2, 1, 4)


def block_mask(masks: Tensor, like: Tensor, size: tuple[int, int]) -> Tensor:
    """Returns a mask by row that broadcasts to a residual.

    Args:
        masks: (1, H, W) or one for each row, 0..1.
        like: the residual, (B, C, h, w) or (B, tokens, C).
        size: height and width of the latents.

    Raises:
        ValueError: the tokens are no grid of the latents.
    """
    full = masks[:, None].to(like.device, torch.float32)
    if like.dim() == 4:
        return F.interpolate(full, size=like.shape[-2:], mode="area").to(like.dtype)
    grid = _grid(like.shape[1], size)
    repeats = like.shape[1] // (grid[0] * grid[1])  # pictures after each other in one row
    tokens = F.interpolate(full, size=grid, mode="area").flatten(1).repeat(1, repeats)
    return tokens[..., None].to(like.dtype)


def _grid(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    grids = [(-(-size[0] // patch), -(-size[1] // patch)) for patch in PATCHES]
    counts = [height * width for height, width in grids]
    if tokens in counts:
        return grids[counts.index(tokens)]
    for grid, count in zip(grids, counts, strict=True):
        if tokens % count == 0:
            return grid
    raise ValueError(
        f"`mask` cannot be used with this model: {tokens} tokens are no grid of {size[1]} x {size[0]} latents."
    )
