"""The part that a UNet and its ControlNets share: embedding, encoder and middle block."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils import checkpoint

from .blocks import (
    TORCH_OPS,
    Downsample,
    Ops,
    ResBlock,
    SpatialTransformer,
    TimestepSequential,
    timestep_embedding,
)
from .config import EncoderBlock, UNetConfig

#: Keys of what a ControlNet copies from its UNet.
SHARED = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")


class Encoder(nn.Module):
    """`time_embed`, `label_emb` (SDXL), `input_blocks` and `middle_block`, with the keys of ldm checkpoints."""

    #: In training: do not keep activations inside blocks, but compute them again in the backward pass.
    gradient_checkpointing = False

    def __init__(self, config: UNetConfig, ops: Ops = TORCH_OPS) -> None:
        super().__init__()
        self.config = config
        emb = config.emb_dim
        self.time_embed = _mlp(config.model_channels, emb, ops)
        if config.y_dim is not None:
            self.label_emb = nn.Sequential(_mlp(config.y_dim, emb, ops))
        self.input_blocks = nn.ModuleList(_encoder_block(b, config, ops) for b in config.encoder)
        deepest = config.encoder[-1].out_channels
        middle: list[nn.Module] = [ResBlock(deepest, deepest, emb, ops)]
        if config.middle_depth >= 0:
            middle += [
                transformer(deepest, config.middle_depth, config, -1, ops),
                ResBlock(deepest, deepest, emb, ops),
            ]
        self.middle_block = TimestepSequential(*middle)

    def embed(
        self,
        timesteps: Tensor,
        y: Tensor | None,
        dtype: torch.dtype,
        more: Tensor | None = None,
    ) -> Tensor:
        """Returns what every ResBlock gets, SiLU included: the embedding (B, 4*model_channels).

        Args:
            timesteps: (B,).
            y: vector condition (B, y_dim), for SDXL.
            dtype: to compute in.
            more: is added to the embedding (B or 1, 4*model_channels).

        Raises:
            ValueError: `y` is missing for a net that needs it, or given to one that does not take it.
        """
        wants = self.config.y_dim
        if (y is None) != (wants is None):
            has = "no `y`" if y is None else f"a `y` of width {y.shape[-1]}"
            need = "no `y` (SD1.x, SD2.x)" if wants is None else f"a `y` of width {wants} (SDXL)"
            raise ValueError(
                f"The call has {has}, but this net takes {need}: the two are of different families."
            )
        emb = self.time_embed(timestep_embedding(timesteps, self.config.model_channels).to(dtype))
        if y is not None:
            emb = emb + self.label_emb(y.to(emb))
        return F.silu(emb if more is None else emb + more)

    def run(self, block: nn.Module, *args: object) -> Tensor:
        """Returns a block's output, checkpointed if wanted and if there is a graph.

        A block with hooks is not: a patch's hooks would run again in the backward pass, with nothing to add.
        """
        hooked = bool(vars(block)["_forward_hooks"] or vars(block)["_forward_pre_hooks"])
        if self.gradient_checkpointing and torch.is_grad_enabled() and not hooked:
            return cast(Callable[..., Tensor], checkpoint.checkpoint)(
                block, *args, use_reentrant=False
            )
        return block(*args)


def transformer(
    channels: int, depth: int, config: UNetConfig, level: int, ops: Ops
) -> SpatialTransformer:
    """Returns the attention layer that `config` has at this width and level."""
    heads = config.heads(channels, level)
    return SpatialTransformer(channels, heads, depth, config.context_dim, config.linear_proj, ops)


def _mlp(channels: int, out_channels: int, ops: Ops) -> nn.Sequential:
    return nn.Sequential(
        ops.Linear(channels, out_channels), nn.SiLU(), ops.Linear(out_channels, out_channels)
    )


def _encoder_block(block: EncoderBlock, config: UNetConfig, ops: Ops) -> TimestepSequential:
    if block.kind == "conv":
        return TimestepSequential(ops.Conv2d(block.in_channels, block.out_channels, 3, padding=1))
    if block.kind == "down":
        return TimestepSequential(Downsample(block.in_channels, ops))
    layers: list[nn.Module] = [ResBlock(block.in_channels, block.out_channels, config.emb_dim, ops)]
    if block.depth:
        layers.append(transformer(block.out_channels, block.depth, config, block.level, ops))
    return TimestepSequential(*layers)
