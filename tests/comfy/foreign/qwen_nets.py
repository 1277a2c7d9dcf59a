"""Tiny Qwen-Image models with their control nets."""

from typing import Any

import comfy.controlnet
import comfy.latent_formats
import comfy.ldm.qwen_image.controlnet
import comfy.supported_models
from random_nets import LAYERS, control_net, patcher

HAS_FUN = hasattr(comfy.ldm.qwen_image.controlnet, "QwenImageFunControlNetModel")


QWEN = {
    "in_channels": 64,
    "out_channels": 16,
    "attention_head_dim": 16,
    "num_attention_heads": 2,
    "joint_attention_dim": 32,
    "axes_dims_rope": (4, 6, 6),
}


def qwen() -> Any:
    """Qwen-Image."""
    shape = {"num_layers": 60, "image_model": "qwen_image"}
    return patcher(comfy.supported_models.QwenImage({**QWEN, **shape}))


def qwen_instantx(inpaint: bool = False) -> Any:
    """A ControlNet for Qwen-Image of InstantX's."""
    net = comfy.ldm.qwen_image.controlnet.QwenImageControlNetModel(
        extra_condition_channels=4 if inpaint else 0, num_layers=5, **QWEN, **LAYERS
    )
    form = comfy.latent_formats.Wan21()
    return control_net(net, form, extra_conds=[], concat_mask=inpaint)


def qwen_fun() -> Any:
    """A ControlNet of Qwen-Image Fun, which runs layers of the model too."""
    net = comfy.ldm.qwen_image.controlnet.QwenImageFunControlNetModel(
        inner_dim=32, num_attention_heads=2, attention_head_dim=16, **LAYERS
    )
    kind = comfy.controlnet.QwenFunControlNet
    return control_net(net, comfy.latent_formats.Wan21(), kind, extra_conds=[])
