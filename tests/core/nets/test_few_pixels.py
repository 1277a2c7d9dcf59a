"""Deep convolutions as products: the same numbers, and only where they are faster."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cnet_core.nets import few_pixels
from cnet_core.nets.few_pixels import LEAST_WEIGHTS, FewPixels, multiply_patches

WIDE = int((LEAST_WEIGHTS / 9) ** 0.5) + 1


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_a_product_is_the_convolution(rows: int, stride: int, bias: bool, size) -> None:
    conv = FewPixels(6, 5, 3, stride=stride, padding=1, bias=bias)
    x = torch.randn(rows, 6, *size, generator=torch.Generator().manual_seed(1))
    want = F.conv2d(x, conv.weight, conv.bias, stride, 1)
    torch.testing.assert_close(multiply_patches(conv, x, conv.weight, conv.bias), want)


@pytest.mark.parametrize(
    ("channels", "change", "size", "taken"),
    [
        (WIDE, {}, 4, True),
        (WIDE, {}, 12, False),
        (WIDE // 2, {}, 4, False),
        (WIDE, {"kernel_size": 1, "padding": 0}, 4, False),
        (WIDE, {"padding_mode": "circular"}, 4, False),
        (WIDE, {"dtype": torch.bfloat16}, 4, False),
    ],
    ids=["deep", "many pixels", "few weights", "1x1", "tiled pictures", "half precision"],
)
def test_it_is_taken_for_many_weights_and_few_pixels_alone(
    monkeypatch: pytest.MonkeyPatch, channels: int, change: dict, size: int, taken: bool
) -> None:
    asked: list[Tensor] = []
    monkeypatch.setattr(few_pixels, "multiply_patches", lambda conv, x, *rest: asked.append(x))
    settings = {"kernel_size": 3, "padding": 1, **change}
    conv = FewPixels(channels, channels, **settings)
    conv(torch.zeros(1, channels, size, size, dtype=conv.weight.dtype))
    assert bool(asked) == taken
