"""Tiny Stable Diffusion models and T2I-Adapters."""

from typing import Any, ClassVar

import comfy.controlnet
import comfy.model_base
import comfy.supported_models
import comfy.t2i_adapter.adapter
from random_nets import patcher, randomise
from torch import Tensor


def unet(mult: tuple[int, ...], depths: tuple[int, ...], **more: Any) -> dict[str, Any]:
    """Returns the arguments of a UNet, 32 channels wide at the top."""
    return {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 32,
        "channel_mult": list(mult),
        "num_res_blocks": [2] * len(mult),
        "num_heads": -1,
        "num_head_channels": 32,
        "transformer_depth": [d for d in depths for _ in range(2)],
        "transformer_depth_output": [d for d in depths for _ in range(3)],
        "transformer_depth_middle": depths[-1] or 1,
        "context_dim": 16,
        "use_spatial_transformer": True,
        "legacy": False,
        **more,
    }


class _SD15(comfy.supported_models.SD15):
    unet_extra_config: ClassVar[dict[str, Any]] = {}


class _SDXL(comfy.supported_models.SDXL):
    unet_extra_config: ClassVar[dict[str, Any]] = {}


class _WithVector(comfy.model_base.BaseModel):
    def encode_adm(self, **kwargs: Any) -> Tensor:
        return kwargs["pooled_output"]


def sd15() -> Any:
    """Stable Diffusion 1.5."""
    return patcher(_SD15(unet((1, 2, 2, 2), (1, 1, 1, 0))), model=comfy.model_base.BaseModel)


def sdxl() -> Any:
    """SDXL."""
    vector = {"adm_in_channels": 8, "num_classes": "sequential"}
    return patcher(_SDXL(unet((1, 2, 2), (0, 1, 1), **vector)), model=_WithVector)


def t2i(light: bool = False, xl: bool = False) -> Any:
    """A T2I-Adapter."""
    channels, cin = [32, 64, 64, 64], 3 * (16 if xl else 8) ** 2
    adapter = comfy.t2i_adapter.adapter
    net = (
        adapter.Adapter_light(cin=cin, channels=channels, nums_rb=4)
        if light
        else adapter.Adapter(channels, 2, cin, ksize=1, sk=True, use_conv=False, xl=xl)
    )
    return comfy.controlnet.T2IAdapter(
        randomise(net, 2, 1.5), net.input_channels, 8, "nearest-exact"
    )
