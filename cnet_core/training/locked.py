"""The locked UNet in training: encoder and middle without a graph, the decoder with gradients only for its inputs.

Nothing before the first residual needs a gradient, and no weight of the UNet does. So its encoder keeps no
activations, and its decoder computes only the half of a backward pass that flows back into the residuals.

The UNet computes in the dtype of its weights, inside autocast and outside. Its inputs are cast to it, so the same
features give the same prediction everywhere.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..nets.residuals import Residuals, add_residual
from ..nets.unet import UNet


@dataclass(frozen=True)
class EncoderFeatures:
    """The output of encoder and middle for one noisy batch; it can be decoded many times."""

    skips: tuple[Tensor, ...]  # shallow to deep
    middle: Tensor
    emb: Tensor
    context: Tensor


def lock(unet: UNet) -> UNet:
    """Returns the UNet, in evaluation mode, without gradients for its weights."""
    return unet.train(False).requires_grad_(False)


@torch.no_grad()
def encode(
    unet: UNet, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None
) -> EncoderFeatures:
    """Returns the features of a noisy batch; arguments as UNet.forward's."""
    dtype = next(unet.parameters()).dtype
    x, context = x.to(dtype), context.to(dtype)
    with _own_dtype(x):
        emb = unet.embed(timesteps, y, dtype)
        skips, middle = unet.encode(x, emb, context)
    return EncoderFeatures(tuple(skips), middle, emb, context)


def add_residuals(encoded: EncoderFeatures, residuals: Residuals) -> EncoderFeatures:
    """Returns the features with `residuals` added; gradients flow back into them.

    Raises:
        ValueError: the residuals are for another UNet.
    """
    features, blocks = (*encoded.skips, encoded.middle), residuals.blocks
    if len(blocks) != len(features):
        raise ValueError(
            f"The ControlNet gives {len(blocks)} residuals, but the UNet has {len(features)} blocks: the two "
            "are of different families."
        )
    *skips, middle = (
        feature if residual is None else add_residual(feature, residual, f"block {index}")
        for index, (feature, residual) in enumerate(zip(features, blocks, strict=True))
    )
    return EncoderFeatures(tuple(skips), middle, encoded.emb, encoded.context)


def decode(unet: UNet, encoded: EncoderFeatures) -> Tensor:
    """Returns the prediction."""
    with _own_dtype(encoded.middle):
        return unet.decode(encoded.skips, encoded.middle, encoded.emb, encoded.context)


def _own_dtype(like: Tensor) -> AbstractContextManager[Any]:
    """Returns a context without autocast on a tensor's device."""
    kind = like.device.type
    known = torch.amp.is_autocast_available(kind)
    return torch.autocast(kind, enabled=False) if known else nullcontext()
