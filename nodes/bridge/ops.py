"""The layers of our nets in ComfyUI: its own, which cast and offload their weights."""

from typing import cast

import comfy.ops
from torch import Tensor

from ...cnet_core.blocks import Ops
from ...cnet_core.few_pixels import FewPixels, few_tokens, weights_first


class _Conv2d(FewPixels, comfy.ops.manual_cast.Conv2d):
    """ComfyUI's, computed as a product where there are few pixels."""


class _Linear(comfy.ops.manual_cast.Linear):
    """ComfyUI's, weights first where there are few tokens and nothing is done to the weights."""

    def forward(self, input: Tensor) -> Tensor:
        patched = self.weight_function or self.bias_function
        if not patched and few_tokens(input, self.weight):
            return weights_first(input, self.weight, self.bias)
        return super().forward(input)


class _Layers:
    Linear = _Linear
    Conv2d = _Conv2d
    GroupNorm = comfy.ops.manual_cast.GroupNorm
    LayerNorm = comfy.ops.manual_cast.LayerNorm


OPS = cast(Ops, _Layers)
