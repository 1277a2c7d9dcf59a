"""The layers of nets in ComfyUI: ComfyUI's own, which cast and offload their weights where necessary."""

from typing import cast

import comfy.ops

from ...cnet_core.nets.blocks import Ops
from ...cnet_core.nets.few_pixels import FewPixels


class _Conv2d(FewPixels, comfy.ops.disable_weight_init.Conv2d):
    """ComfyUI's layer, computed as a matrix product for few pixels."""


class _Layers:
    Linear = comfy.ops.disable_weight_init.Linear
    Conv2d = _Conv2d
    GroupNorm = comfy.ops.disable_weight_init.GroupNorm
    LayerNorm = comfy.ops.disable_weight_init.LayerNorm


OPS = cast(Ops, _Layers)
