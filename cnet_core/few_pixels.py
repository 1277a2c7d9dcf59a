"""Deep layers over few pixels as the matrix products that a CPU does fastest: FewPixels, FewTokens, linear.

oneDNN brings a convolution's weights into its own order at every call. Deep in a UNet, where a map of 8 x 8 pixels
meets 14.7 million weights, that takes longer than the arithmetic: of two such maps with two threads 33 ms, and 22 as a
product. Linear layers are divided among threads more evenly where the weights come first in the product: from 1280 to
10240 channels at 128 pixels it is 27 ms and 20 (`cnet bench --deep-layers`, docs/speed.md).
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Up to here the product is the faster one, where there are at least so many weights.
MOST_PIXELS, LEAST_WEIGHTS = 128, 2**23
#: The same of linear layers. Only whole groups of so many tokens gain: maps of 8 x 8 do, the text's 77 tokens do not.
MOST_TOKENS, LEAST_LINEAR_WEIGHTS, GROUP = 512, 2**20, 16


class FewPixels(nn.Conv2d):
    """Goes before a Conv2d among the bases of a layer; only the arithmetic's order differs."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _better(self, input, weight):
            return as_product(self, input, weight, bias)
        return super()._conv_forward(input, weight, bias)


class FewTokens(nn.Linear):
    """Goes behind a host's Linear among the bases of a layer; only the arithmetic's order differs."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)


def as_product(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns conv(x), x: (B, C, H, W), as one product of the weights and all patches."""
    (height, width), (pad, _), (stride, _) = x.shape[-2:], _pair(conv.padding), conv.stride
    patches = F.unfold(x, conv.kernel_size, padding=pad, stride=stride)  # (B, C * k * k, pixels)
    columns = patches.transpose(0, 1).flatten(1)
    found = weight.flatten(1) @ columns
    if bias is not None:
        found = found + bias[:, None]
    size = (1 + (height - 1) // stride, 1 + (width - 1) // stride)
    return found.reshape(-1, len(x), *size).transpose(0, 1).contiguous()


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns F.linear(x, weight, bias), by whichever product is faster; only the arithmetic's order differs."""
    first = come_first(weight, x)
    return weights_first(x, weight, bias) if first else F.linear(x, weight, bias)


def weights_first(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns F.linear(x, weight, bias) as the transpose of weight times x; x: (..., C)."""
    columns = x.flatten(0, -2).t()
    found = weight @ columns if bias is None else torch.addmm(bias[:, None], weight, columns)
    return found.t().reshape(*x.shape[:-1], -1)


def come_first(weight: Tensor, x: Tensor) -> bool:
    """Whether many weights meet few tokens of x (..., C), on several threads of a CPU."""
    if not x.is_cpu:  # asked alone: a GPU would wait for the rest
        return False
    tokens = x.numel() // x.shape[-1]
    return (
        weight.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and weight.numel() >= LEAST_LINEAR_WEIGHTS
        and 0 < tokens <= MOST_TOKENS
        and tokens % GROUP == 0
        and not torch.compiler.is_compiling()  # which divides products itself
        and torch.get_num_threads() > 1
    )


def _better(conv: nn.Conv2d, x: Tensor, weight: Tensor) -> bool:
    """Whether it is a 3x3 convolution of the usual kind on a CPU, with many weights for few pixels."""
    if not x.is_cpu:  # as above
        return False
    pixels = x.numel() // (x.shape[1] * conv.stride[0] ** 2)
    return (
        x.dtype == weight.dtype == torch.float32
        and x.dim() == 4
        and (conv.kernel_size, _pair(conv.padding)) == ((3, 3), (1, 1))
        and (conv.groups, conv.dilation, conv.padding_mode) == (1, (1, 1), "zeros")
        and conv.stride[0] == conv.stride[1]
        and weight.numel() >= LEAST_WEIGHTS
        and pixels <= MOST_PIXELS
    )


def _pair(padding: object) -> tuple[int, int]:
    return cast("tuple[int, int]", padding)
