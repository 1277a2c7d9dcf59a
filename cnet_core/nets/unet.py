"""The whole Stable Diffusion UNet, for the embedded model, tests and training."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import TORCH_OPS, Ops, ResBlock, TimestepSequential, Upsample
from .config import NORM_GROUPS, UNetConfig
from .encoder import Encoder, transformer


class UNet(Encoder):
    """Predicts the noise in a latent. Module names are the keys below `model.diffusion_model.` in ldm checkpoints."""

    def __init__(self, config: UNetConfig, ops: Ops = TORCH_OPS) -> None:
        super().__init__(config, ops)
        self.output_blocks = nn.ModuleList(_decoder(config, ops))
        self.out = nn.Sequential(
            ops.GroupNorm(NORM_GROUPS, config.model_channels),
            nn.SiLU(),
            ops.Conv2d(config.model_channels, config.out_channels, 3, padding=1),
        )

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None
    ) -> Tensor:
        """Returns the prediction, of `x`'s size.

        Args:
            x: noisy latents (B, in_channels, H, W).
            timesteps: (B,), 0..999.
            context: text embeddings (B, tokens, context_dim).
            y: vector condition (B, y_dim), for SDXL.
        """
        emb = self.embed(timesteps, y, x.dtype)
        skips, middle = self.encode(x, emb, context)
        return self.decode(skips, middle, emb, context)

    def encode(self, x: Tensor, emb: Tensor, context: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the skips, shallow to deep, and the middle; `emb` is from `embed`."""
        skips: list[Tensor] = []
        h = x
        for block in self.input_blocks:
            h = self.run(block, h, emb, context)
            skips.append(h)
        return skips, self.run(self.middle_block, h, emb, context)

    def decode(
        self, skips: Sequence[Tensor], middle: Tensor, emb: Tensor, context: Tensor
    ) -> Tensor:
        """Returns the prediction from skips, shallow to deep, and middle; the arguments do not change."""
        left, h = list(skips), middle
        for block in self.output_blocks:
            h = torch.cat([h, left.pop()], dim=1)
            size = (left[-1].shape[-2], left[-1].shape[-1]) if left else None
            h = self.run(block, h, emb, context, size)
        return self.out(h)


def _decoder(config: UNetConfig, ops: Ops) -> list[TimestepSequential]:
    """The decoder's blocks, deep to shallow: one for each skip connection."""
    skips = [b.out_channels for b in config.encoder]
    width = skips[-1]
    blocks: list[TimestepSequential] = []
    for level in reversed(range(len(config.channel_mult))):
        out = config.model_channels * config.channel_mult[level]
        depths = (*config.depths[level], config.depths[level][-1])
        for index, depth in enumerate(depths):
            layers: list[nn.Module] = [ResBlock(width + skips.pop(), out, config.emb_dim, ops)]
            if depth:
                layers.append(transformer(out, depth, config, level, ops))
            if level and index == len(depths) - 1:
                layers.append(Upsample(out, ops))
            blocks.append(TimestepSequential(*layers))
            width = out
    return blocks
