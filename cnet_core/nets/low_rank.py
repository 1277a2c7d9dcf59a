"""LowRankControlNet: a ControlNet whose copy of the UNet is fixed, with a low-rank difference in each of its layers.

A layer computes W x + up (down x), as LoRA does (Hu et al., arXiv 2106.09685), without an alpha. `up` and `down` have
the names and shapes of Stability AI's Control-LoRA, so the state dict holds such a file's tensors.
"""

from collections.abc import Iterator
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .controlnet import ControlNet
from .encoder import SHARED


class LowRankLinear(nn.Linear):
    """A linear layer with a low-rank difference: up (out, rank), down (rank, in)."""

    def __init__(self, layer: nn.Linear, rank: int, generator: torch.Generator) -> None:
        with torch.device("meta"):
            super().__init__(layer.in_features, layer.out_features, layer.bias is not None)  # pyright: ignore[reportUnnecessaryComparison]
        self.weight, self.bias = layer.weight, layer.bias
        self.up, self.down = _start_pair(layer.weight, rank, generator)

    def forward(self, input: Tensor) -> Tensor:
        fixed = F.linear(input.to(self.weight.dtype), self.weight, self.bias)
        return fixed + F.linear(F.linear(input, self.down), self.up)


class LowRankConv2d(nn.Conv2d):
    """A convolution with a low-rank difference: up (out, rank, 1, 1), down (rank, in, height, width)."""

    def __init__(self, layer: nn.Conv2d, rank: int, generator: torch.Generator) -> None:
        size, stride, padding = (
            cast("tuple[int, int]", each)
            for each in (layer.kernel_size, layer.stride, layer.padding)
        )
        with torch.device("meta"):
            super().__init__(layer.in_channels, layer.out_channels, size, stride, padding)
        self.weight, self.bias = layer.weight, layer.bias
        self.up, self.down = _start_pair(layer.weight, rank, generator)

    def forward(self, input: Tensor) -> Tensor:
        fixed = self._conv_forward(input.to(self.weight.dtype), self.weight, self.bias)
        return fixed + F.conv2d(self._conv_forward(input, self.down, None), self.up)


LowRankLayer = LowRankLinear | LowRankConv2d


class LowRankControlNet(ControlNet):
    """Learns low-rank differences of the copy's layers, its norms, and whole zero convs and hint encoder.

    Args:
        net: where it starts; at first both give the same residuals. It shares the weights that stay fixed.
        rank: of the differences; less in layers that are smaller.
        seed: of the `down` halves; the `up` halves start at 0.
        origin: the digest of `net` if that is a trained ControlNet; None if it is a fresh copy of its UNet.
    """

    def __init__(
        self, net: ControlNet, rank: int, *, seed: int = 0, origin: str | None = None
    ) -> None:
        with torch.device("meta"):
            super().__init__(net.config, net.hint_channels, pooled=net.pooled)
        self.load_state_dict(net.state_dict(), assign=True)
        self.origin = origin
        generator = torch.Generator().manual_seed(seed)
        for name, layer in list(_modules(self)):
            if name.startswith(SHARED) and isinstance(layer, nn.Linear):
                self.set_submodule(name, LowRankLinear(layer, rank, generator))
            elif name.startswith(SHARED) and isinstance(layer, nn.Conv2d):
                self.set_submodule(name, LowRankConv2d(layer, rank, generator))
        own = {name: value.clone() for name, value in self.learned.items()}
        self.load_state_dict(own, assign=True, strict=False)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of what learns, in which the net computes; fixed weights compute in their own."""
        return cast(Tensor, self.middle_block_out[0].weight).dtype

    def low_rank_layers(self) -> Iterator[tuple[str, LowRankLayer]]:
        """Yields name and layer of every layer with a low-rank difference."""
        for name, layer in _modules(self):
            if isinstance(layer, LowRankLayer):
                yield name, layer

    @property
    def learned(self) -> dict[str, Tensor]:
        """Returns everything that learns, by name: what a file of this net holds."""
        fixed = {f"{n}.{part}" for n, _ in self.low_rank_layers() for part in ("weight", "bias")}
        return {name: value for name, value in self.state_dict().items() if name not in fixed}

    def fix_(self, unet: nn.Module, dtype: torch.dtype) -> None:
        """Makes only `learned` require gradients; the other weights get a dtype, or become the UNet's own.

        Args:
            unet: the locked UNet. A net that began as its copy shares its weights, so they exist once.
            dtype: of the fixed weights of any other net.
        """
        self.requires_grad_(True)
        for name, layer in self.low_rank_layers():
            source = unet.get_submodule(name) if self.origin is None else layer
            for part, weight in source.named_parameters(recurse=False):
                if part in ("weight", "bias"):
                    setattr(layer, part, _fix(weight, dtype))


def low_rank_difference(up: Tensor, down: Tensor) -> Tensor:
    """Returns the difference of a pair, (out, fan-in), in float32."""
    return up.flatten(1).float() @ down.flatten(1).float()


def add_low_rank(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Returns a weight with the difference of a pair added, in its dtype and where the pair is."""
    difference = low_rank_difference(up, down).reshape(weight.shape)
    return (weight.to(difference) + difference).to(weight.dtype)


def merge_low_rank(net: LowRankControlNet) -> ControlNet:
    """Returns a plain ControlNet in the dtype of what was learned, with the differences added to its weights."""
    with torch.device("meta"):
        whole = ControlNet(net.config, net.hint_channels, pooled=net.pooled)
    weights = {k: v.to(net.dtype) for k, v in net.state_dict().items() if k in whole.state_dict()}
    for name, layer in net.low_rank_layers():
        key = f"{name}.weight"
        weights[key] = add_low_rank(weights[key], layer.up.detach(), layer.down.detach())
    whole.load_state_dict(weights, assign=True)
    return whole.train(False)


def _modules(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return cast("Iterator[tuple[str, nn.Module]]", net.named_modules())


def _start_pair(
    weight: Tensor, rank: int, generator: torch.Generator
) -> tuple[nn.Parameter, nn.Parameter]:
    """Returns `up`, all 0, and `down`, which keeps the variance of its input, in float32."""
    out, fan_in = weight.flatten(1).shape
    rank = min(rank, out, fan_in)
    up = torch.zeros(out, rank, *(1,) * (weight.dim() - 2))
    down = torch.randn(rank, *weight.shape[1:], generator=generator) / fan_in**0.5
    return nn.Parameter(up.to(weight.device)), nn.Parameter(down.to(weight.device))


def _fix(weight: nn.Parameter, dtype: torch.dtype) -> nn.Parameter:
    """Returns a parameter without gradient in a dtype: itself if it is one already."""
    if weight.dtype == dtype and not weight.requires_grad:
        return weight
    return nn.Parameter(weight.detach().to(dtype), requires_grad=False)
