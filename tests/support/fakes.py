"""Fake UNets of a few lines, built like ldm's, and small real nets with weights from a local generator."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn

import cnet_core as cn

M = TypeVar("M", bound=nn.Module)

#: The smallest config with Stable Diffusion 1.x's 13 blocks.
SMALL = cn.UNetConfig(model_channels=32, channel_mult=(1, 1, 2, 2), context_dim=16, num_heads=4)


class FakeUNet(nn.Module):
    """One conv a block, a skip connection each; sums what comes in, so that injections can be read off."""

    def __init__(self, channels: int = 4, blocks: int = 3) -> None:
        super().__init__()
        self.input_blocks = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(blocks))
        self.middle_block = nn.Conv2d(channels, channels, 1)
        self.output_blocks = nn.ModuleList(
            nn.Conv2d(2 * channels, channels, 1) for _ in range(blocks)
        )

    def forward(
        self, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None = None
    ) -> Tensor:
        skips = []
        for block in self.input_blocks:
            x = block(x)
            skips.append(x)
        x = self.middle_block(x)
        for block in self.output_blocks:
            x = block(torch.cat([x, skips.pop()], dim=1))
        return x


def small_unet(seed: int = 0) -> cn.UNet:
    """A real UNet of SMALL with random weights."""
    return _small(cn.UNet, seed)


def small_net(seed: int = 1) -> cn.ControlNet:
    """A real ControlNet of SMALL with random weights, zero convs included."""
    return _small(cn.ControlNet, seed)


def randomise_(module: M, seed: int, std: float = 0.05) -> M:
    """Draws new weights and biases, so that nothing is zero by construction."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
    return module.requires_grad_(False)


def _small(kind: type[M], seed: int) -> M:
    """Hundreds of tests ask for the same weights, so this draws them once and copies them."""
    with _skip_init():
        model = kind(SMALL)
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), _draw_weights(kind, seed), strict=True):
            parameter.copy_(value)
    return model.requires_grad_(False)


@lru_cache(maxsize=8)
def _draw_weights(kind: type[nn.Module], seed: int) -> list[Tensor]:
    with _skip_init():  # torch's own generator stays as it is, whether this is cached or not
        model = kind(SMALL)
    return [parameter.detach() for parameter in randomise_(model, seed).parameters()]


@contextmanager
def _skip_init() -> Iterator[None]:
    """Within it, new layers draw no weights of their own."""
    kinds = (nn.Linear, nn.modules.conv._ConvNd)
    before = [kind.reset_parameters for kind in kinds]
    for kind in kinds:
        kind.reset_parameters = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, method in zip(kinds, before, strict=True):
            kind.reset_parameters = method  # type: ignore[method-assign]


def call_inputs(
    rows: int = 2, height: int = 8, width: int = 8, seed: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """Latents, timesteps and text embeddings for SMALL, every row different."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, SMALL.in_channels, height, width, generator=generator)
    context = torch.randn(rows, 8, SMALL.context_dim, generator=generator)
    return x, torch.full((rows,), 500.0), context


def random_hint(height: int = 64, width: int = 64, count: int = 1, seed: int = 3) -> Tensor:
    """A hint of noise in 0..1."""
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed))
