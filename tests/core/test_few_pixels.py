"""Deep layers as other products: the same numbers, and only where they are the faster ones."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cnet_core import few_pixels
from cnet_core.few_pixels import (
    LEAST_WEIGHTS,
    FewPixels,
    as_product,
    come_first,
    linear,
    weights_first,
)

WIDE = int((LEAST_WEIGHTS / 9) ** 0.5) + 1


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(4, 4), (5, 7)])
def test_a_product_is_the_convolution(rows: int, stride: int, bias: bool, size) -> None:
    conv = FewPixels(6, 5, 3, stride=stride, padding=1, bias=bias)
    x = torch.randn(rows, 6, *size, generator=torch.Generator().manual_seed(1))
    want = F.conv2d(x, conv.weight, conv.bias, stride, 1)
    torch.testing.assert_close(as_product(conv, x, conv.weight, conv.bias), want)


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
    monkeypatch.setattr(few_pixels, "as_product", lambda conv, x, *rest: asked.append(x))
    settings = {"kernel_size": 3, "padding": 1, **change}
    conv = FewPixels(channels, channels, **settings)
    conv(torch.zeros(1, channels, size, size, dtype=conv.weight.dtype))
    assert bool(asked) == taken


@pytest.mark.parametrize("shape", [(5, 8), (2, 3, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_weights_first_is_the_linear_layer(shape: tuple[int, ...], bias: bool) -> None:
    layer = torch.nn.Linear(8, 6, bias=bias)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(weights_first(x, layer.weight, layer.bias), layer(x))


@pytest.mark.parametrize(
    ("shape", "weights", "dtype", "threads", "taken"),
    [
        ((2, 64), (1280, 1280), torch.float32, 2, True),
        ((32, 16), (1280, 1280), torch.float32, 2, True),
        ((32, 32), (1280, 1280), torch.float32, 2, False),
        ((1, 77), (1280, 1280), torch.float32, 2, False),
        ((2, 64), (640, 640), torch.float32, 2, False),
        ((2, 64), (1280, 1280), torch.bfloat16, 2, False),
        ((2, 64), (1280, 1280), torch.float32, 1, False),
        ((0, 64), (1280, 1280), torch.float32, 2, False),
    ],
    ids=["pixels", "most", "many", "words", "few weights", "half", "one thread", "no tokens"],
)
def test_weights_come_first_for_many_weights_and_few_pixels_alone(
    monkeypatch: pytest.MonkeyPatch, shape, weights, dtype, threads: int, taken: bool
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x, weight = torch.zeros(*shape, weights[1], dtype=dtype), torch.zeros(weights, dtype=dtype)
    assert come_first(weight, x) == taken
    asked: list[Tensor] = []
    monkeypatch.setattr(few_pixels, "weights_first", lambda x, *rest: asked.append(x))
    linear(x, weight, None)
    assert bool(asked) == taken
