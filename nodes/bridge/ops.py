"""The layers of our nets in ComfyUI: its own, which cast and offload their weights."""

from typing import cast

import comfy.ops
from torch import Tensor

from ...cnet_core.blocks import Ops
from ...cnet_core.few_pixels import FewPixels, linear


class _Conv2d(FewPixels, comfy.ops.manual_cast.Conv2d):
    """ComfyUI's, computed as a product where there are few pixels."""


class _Linear(comfy.ops.manual_cast.Linear):
    """ComfyUI's, on a CPU by whichever product is faster."""

    def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
        if input.device.type != "cpu":
            return super().forward_comfy_cast_weights(input)
        weight, bias = comfy.ops.cast_bias_weight(self, input)
        return linear(input, weight, bias)


class _Layers:
    Linear = _Linear
    Conv2d = _Conv2d
    GroupNorm = comfy.ops.manual_cast.GroupNorm
    LayerNorm = comfy.ops.manual_cast.LayerNorm


OPS = cast(Ops, _Layers)
