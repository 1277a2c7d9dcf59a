"""The building blocks of Stable Diffusion's UNet; attribute names are the keys of ldm checkpoints.

`ops` builds every layer with weights: `torch.nn`, or a host's own layers with the same names and
arguments (ComfyUI's offload their weights).
"""

import math
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import NORM_GROUPS


class Ops(Protocol):
    """Where layers come from: `torch.nn` itself, or anything with these four classes."""

    Linear: type[nn.Linear]
    Conv2d: type[nn.Conv2d]
    GroupNorm: type[nn.GroupNorm]
    LayerNorm: type[nn.LayerNorm]


#: Bytes that a part of a feed-forward's widest tensor takes on a CPU.
MOST_WIDENED = 16 * 2**20

#: Plain layers of torch.
TORCH_OPS = cast(Ops, nn)


def timestep_embedding(timesteps: Tensor, dim: int, max_period: float = 10000.0) -> Tensor:
    """Returns the sinusoidal embedding (B, dim) of timesteps (B,): cosines first, then sines (ldm's order)."""
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=timesteps.device)
    angles = timesteps[:, None].float() * torch.exp(-math.log(max_period) * steps / half)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class TimestepSequential(nn.Sequential):
    """A sequence that passes the timestep embedding and the text to the layers that take them."""

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        x: Tensor,
        emb: Tensor,
        context: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        for layer in self:
            if isinstance(layer, ResBlock):
                x = layer(x, emb)
            elif isinstance(layer, SpatialTransformer):
                x = layer(x, context)
            elif isinstance(layer, Upsample):
                x = layer(x, size)
            else:
                x = layer(x)
        return x


class ResBlock(nn.Module):
    """Two norm-SiLU-conv stages with the timestep added between, around a (projected) identity.

    The timestep's embedding comes with its SiLU applied: all blocks share that. Layers are called one by one, since
    each call of a module, even of an identity, costs host time.
    """

    def __init__(
        self, channels: int, out_channels: int, emb_dim: int, ops: Ops = TORCH_OPS
    ) -> None:
        super().__init__()
        self.in_layers = nn.Sequential(
            ops.GroupNorm(NORM_GROUPS, channels),
            nn.SiLU(),
            ops.Conv2d(channels, out_channels, 3, padding=1),
        )
        # The identity holds the place of ldm's SiLU among the keys.
        self.emb_layers = nn.Sequential(nn.Identity(), ops.Linear(emb_dim, out_channels))
        self.out_layers = nn.Sequential(
            ops.GroupNorm(NORM_GROUPS, out_channels),
            nn.SiLU(),
            nn.Identity(),  # ldm's dropout, always 0; it keeps the numbers in the keys
            ops.Conv2d(out_channels, out_channels, 3, padding=1),
        )
        same = channels == out_channels
        self.skip_connection = nn.Identity() if same else ops.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        norm, _, conv = self.in_layers
        _, project = self.emb_layers
        h = conv(F.silu(norm(x))) + project(emb).reshape(len(emb), -1, 1, 1)
        norm, _, _, conv = self.out_layers
        h = conv(F.silu(norm(h)))
        same = isinstance(self.skip_connection, nn.Identity)
        return (x if same else self.skip_connection(x)) + h


class Downsample(nn.Module):
    """Halves both sides, rounding up."""

    def __init__(self, channels: int, ops: Ops = TORCH_OPS) -> None:
        super().__init__()
        self.op = ops.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class Upsample(nn.Module):
    """Doubles both sides, or resizes to `size` if the encoder rounded up."""

    def __init__(self, channels: int, ops: Ops = TORCH_OPS) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor, size: tuple[int, int] | None = None) -> Tensor:
        target = size or (2 * x.shape[-2], 2 * x.shape[-1])
        return self.conv(F.interpolate(x, size=target, mode="nearest"))


class SpatialTransformer(nn.Module):
    """Attention over the pixels of a feature map and over the text, `depth` times."""

    def __init__(
        self,
        channels: int,
        heads: tuple[int, int],
        depth: int,
        context_dim: int,
        linear_proj: bool,
        ops: Ops = TORCH_OPS,
    ) -> None:
        super().__init__()
        inner = heads[0] * heads[1]
        self.norm = ops.GroupNorm(NORM_GROUPS, channels, eps=1e-6)
        self.proj_in = (
            ops.Linear(channels, inner) if linear_proj else ops.Conv2d(channels, inner, 1)
        )
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(inner, heads, context_dim, ops) for _ in range(depth)
        )
        self.proj_out = (
            ops.Linear(inner, channels) if linear_proj else ops.Conv2d(inner, channels, 1)
        )
        self.linear_proj = linear_proj

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        h = self.norm(x)
        if not self.linear_proj:
            h = self.proj_in(h)
        h = h.permute(0, 2, 3, 1)  # (B, H, W, C)
        if self.linear_proj:
            h = self.proj_in(h)
        for block in self.transformer_blocks:
            h = block(h, context)
        if self.linear_proj:
            h = self.proj_out(h)
        h = h.permute(0, 3, 1, 2)
        if not self.linear_proj:
            h = self.proj_out(h)
        return x + h


class TransformerBlock(nn.Module):
    """Self-attention, attention to the text, gated MLP; each after a LayerNorm and with a residual connection.

    The pixels come as (B, H, W, C), the text as (B, tokens, D).
    """

    def __init__(
        self, channels: int, heads: tuple[int, int], context_dim: int, ops: Ops = TORCH_OPS
    ) -> None:
        super().__init__()
        self.attn1 = Attention(channels, channels, heads, ops)
        self.ff = FeedForward(channels, ops)
        self.attn2 = Attention(channels, context_dim, heads, ops)
        self.norm1 = ops.LayerNorm(channels)
        self.norm2 = ops.LayerNorm(channels)
        self.norm3 = ops.LayerNorm(channels)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        h = self.norm1(x)
        x = x + self.attn1(h, h)
        h = self.norm2(x)
        x = x + self.attn2(h, h if context is None else context)
        return x + self.ff(self.norm3(x))


class Attention(nn.Module):
    """Multi-head attention of `x` (B, …, C) to `context` (B, …, D)."""

    def __init__(
        self, channels: int, context_dim: int, heads: tuple[int, int], ops: Ops = TORCH_OPS
    ) -> None:
        super().__init__()
        inner = heads[0] * heads[1]
        self.heads = heads[0]
        self.to_q = ops.Linear(channels, inner, bias=False)
        self.to_k = ops.Linear(context_dim, inner, bias=False)
        self.to_v = ops.Linear(context_dim, inner, bias=False)
        self.to_out = nn.Sequential(ops.Linear(inner, channels), nn.Identity())

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        projected = (self.to_q(x), self.to_k(context), self.to_v(context))
        q, k, v = (_by_head(t, self.heads) for t in projected)
        h = F.scaled_dot_product_attention(q, k, v)
        project, _ = self.to_out
        return project(h.transpose(1, 2).reshape(*x.shape[:-1], -1))


def _by_head(tensor: Tensor, heads: int) -> Tensor:
    """(B, …, heads * width) -> (B, heads, N, width)."""
    return tensor.reshape(len(tensor), -1, heads, tensor.shape[-1] // heads).transpose(1, 2)


class FeedForward(nn.Module):
    """GEGLU: four times as wide, half of it a GELU gate on the other half.

    On a CPU it computes many tokens in parts: glibc returns tensors above 32 MiB to the system and maps them again,
    page by page, which at 512 px costs more than the zero convolutions. With gradients all parts stay alive anyway.
    """

    def __init__(self, channels: int, ops: Ops = TORCH_OPS) -> None:
        super().__init__()
        self.net = nn.Sequential(
            _GEGLU(channels, 4 * channels, ops), nn.Identity(), ops.Linear(4 * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        gated = cast(_GEGLU, self.net[0])
        tokens = MOST_WIDENED // (gated.proj.out_features * x.element_size())
        whole = x.device.type != "cpu" or torch.is_grad_enabled()
        if whole or x.numel() <= tokens * x.shape[-1]:
            return self.net(x)
        parts = cast(tuple[Tensor, ...], x.flatten(0, -2).split(max(1, tokens)))
        return torch.cat([self.net(part) for part in parts]).reshape(x.shape)


class _GEGLU(nn.Module):
    def __init__(self, channels: int, out_channels: int, ops: Ops) -> None:
        super().__init__()
        self.proj = ops.Linear(channels, 2 * out_channels)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)
