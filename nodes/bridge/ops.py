"""The layers of our nets in ComfyUI: its own, which cast and offload their weights."""

from typing import cast

import comfy.ops

from ...cnet_core.blocks import Ops
from ...cnet_core.few_pixels import FewPixels


class _Conv2d(FewPixels, comfy.ops.manual_cast.Conv2d):
    """ComfyUI's, computed as a product where there are few pixels."""


class _Layers:
    Linear = comfy.ops.manual_cast.Linear
    Conv2d = _Conv2d
    GroupNorm = comfy.ops.manual_cast.GroupNorm
    LayerNorm = comfy.ops.manual_cast.LayerNorm


OPS = cast(Ops, _Layers)
