"""A ControlNet that gives known numbers, and a UNet of a few lines that takes residuals as diffusers' does."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from fakes import FakeUNet
from torch import Tensor, nn

import cnet_core as cn


class KnownNet:
    """Residual k is k + 1 everywhere, times its scale; fits UNets whose blocks all have one size and width."""

    def __init__(self, blocks: int = 4, channels: int = 4, pooled: bool = False) -> None:
        self.hint_channels, self.channels, self.pooled = 3, channels, pooled
        self.dtype = torch.float32
        self.weights_version = self.hint_version = 0
        self.config = SimpleNamespace(
            context_dim=5, in_channels=4, block_sizes=lambda h, w: [float(h)] * blocks
        )

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Takes any."""

    def hint_features(self, hint: Tensor, control_types: Sequence[str] | None = None) -> Tensor:
        return hint[:, :1, ::8, ::8]

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        scales: Sequence[float] = (),
        *,
        control_types: Sequence[str] | None = None,
    ) -> cn.Residuals:
        like = torch.ones(len(x), self.channels, *x.shape[-2:])
        found = [None if s == 0 else like * (k + 1) * s for k, s in enumerate(scales)]
        return cn.Residuals.of(found)


def known_unit(blocks: int = 4, channels: int = 4, **kwargs: object) -> cn.ControlUnit:
    """A unit of KnownNet for latents of 8 x 8."""
    return cn.ControlUnit(KnownNet(blocks, channels), torch.ones(1, 3, 64, 64), **kwargs)


def known_call(rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """x, timesteps and context for FakeUNet and KnownNet."""
    generator = torch.Generator().manual_seed(0)
    return (
        torch.randn(rows, 4, 8, 8, generator=generator),
        torch.full((rows,), 500.0),
        torch.zeros(rows, 3, 5),
    )


def make_fake_unet() -> FakeUNet:
    """A FakeUNet with weights from a local generator."""
    unet = FakeUNet()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return unet.requires_grad_(False)


class FakeDiffusersUNet(nn.Module):
    """Returns the additional residuals that reach it, as zeros (B, 4, 8, 8) plus what is to be added."""

    def __init__(self, addition_embed_type: str | None = None) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, 4, 1)
        self.down_blocks = nn.ModuleList([_DownBlock(), _DownBlock()])
        self.config = SimpleNamespace(addition_embed_type=addition_embed_type)
        self.seen_inside: list[Tensor] | None = None

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor | float,
        encoder_hidden_states: Tensor,
        added_cond_kwargs: dict[str, Tensor] | None = None,
        down_block_additional_residuals: tuple[Tensor, ...] | None = None,
        mid_block_additional_residual: Tensor | None = None,
        down_intrablock_additional_residuals: list[Tensor] | None = None,
    ) -> Tensor:
        self.seen_inside = down_intrablock_additional_residuals
        zeros = torch.zeros_like(sample)
        skips = down_block_additional_residuals or (zeros,) * 3
        middle = zeros if mid_block_additional_residual is None else mid_block_additional_residual
        return torch.stack([zeros + block for block in (*skips, middle)])


class _DownBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnets = nn.ModuleList([nn.Conv2d(4, 4, 1)])
        self.downsamplers = None
