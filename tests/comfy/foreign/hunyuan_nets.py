"""Tiny HunyuanDiT models with their control net."""

from typing import Any

import comfy.latent_formats
import comfy.ldm.hydit.controlnet
import comfy.supported_models
from random_nets import LAYERS, control_net, patcher

HUNYUAN = {
    "hidden_size": 32,
    "num_heads": 2,
    "mlp_ratio": 2.0,
    "text_states_dim": 32,
    "text_states_dim_t5": 64,
    "text_len": 7,
    "text_len_t5": 8,
    "depth": 40,
}


def hunyuan() -> Any:
    """HunyuanDiT."""
    config = {**HUNYUAN, "image_model": "hydit", "size_cond": True, "use_style_cond": True}
    config.update(size_cond=False, use_style_cond=False)
    return patcher(comfy.supported_models.HunyuanDiT(config))


def hunyuan_net() -> Any:
    """A ControlNet for HunyuanDiT."""
    net = comfy.ldm.hydit.controlnet.HunYuanControlNet(**HUNYUAN, **LAYERS)
    names = ["text_embedding_mask", "encoder_hidden_states_t5", "text_embedding_mask_t5"]
    names += ["image_meta_size", "style", "cos_cis_img", "sin_cis_img"]
    return control_net(net, comfy.latent_formats.SDXL(), extra_conds=names)
