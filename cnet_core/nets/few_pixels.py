"""FewPixels: deep convolutions over few pixels as matrix products, which a CPU does faster.

oneDNN reorders a convolution's weights at every call. Deep in a UNet, where an 8 x 8 map meets 14.7 million weights,
reordering takes longer than the arithmetic: two such maps take 33 ms with two threads, and 22 ms as a product.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: The product is faster up to this many pixels, with at least this many weights.
MOST_PIXELS, LEAST_WEIGHTS = 128, 2**23


class FewPixels(nn.Conv2d):
    """Precedes Conv2d among the bases of a layer; only the order of the arithmetic differs."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if _is_faster_as_product(self, input, weight):
            return multiply_patches(self, input, weight, bias)
        return super()._conv_forward(input, weight, bias)


def multiply_patches(conv: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Returns conv(x), x: (B, C, H, W), as one product of the weights and all patches."""
    (height, width), (pad, _), (stride, _) = x.shape[-2:], _pair(conv.padding), conv.stride
    patches = F.unfold(x, conv.kernel_size, padding=pad, stride=stride)  # (B, C * k * k, pixels)
    columns = patches.transpose(0, 1).flatten(1)
    product = weight.flatten(1) @ columns
    if bias is not None:
        product = product + bias[:, None]
    size = (1 + (height - 1) // stride, 1 + (width - 1) // stride)
    return product.reshape(-1, len(x), *size).transpose(0, 1).contiguous()


def _is_faster_as_product(conv: nn.Conv2d, x: Tensor, weight: Tensor) -> bool:
    """Whether it is a 3x3 convolution of the usual kind on a CPU, with many weights for few pixels."""
    if not x.is_cpu:  # return early on a GPU: the checks below cost host time
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
