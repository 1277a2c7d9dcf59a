"""Tiny SD3 models with their control nets, and a model that takes no control."""

from typing import Any

import comfy.cldm.dit_embedder
import comfy.cldm.mmdit
import comfy.controlnet
import comfy.latent_formats
import comfy.supported_models
from random_nets import LAYERS, control_net, patcher

SD3 = {
    "in_channels": 16,
    "patch_size": 2,
    "depth": 4,
    "input_size": None,
    "adm_in_channels": 2048,
    "context_embedder_config": {
        "target": "torch.nn.Linear",
        "params": {"in_features": 32, "out_features": 256},
    },
    "num_patches": 1024,
    "pos_embed_max_size": 32,
    "pos_embed_scaling_factor": None,
}


def sd3() -> Any:
    """SD3, as SD3.5 is to ComfyUI too."""
    return patcher(comfy.supported_models.SD3({**SD3, "out_channels": 16}))


def short_sd3() -> Any:
    """An SD3 with two of its four blocks."""
    return patcher(comfy.supported_models.SD3({**SD3, "out_channels": 16, "num_blocks": 2}))


def auraflow() -> Any:
    """AuraFlow, which takes no control."""
    shape = {"dim": 32, "n_heads": 2, "n_layers": 2, "n_double_layers": 1, "cond_seq_dim": 16}
    return patcher(comfy.supported_models.AuraFlow(shape))


def sd3_net(inpaint: bool = False) -> Any:
    """A ControlNet for SD3 as diffusers stores it."""
    channels = 17 if inpaint else None
    net = comfy.cldm.mmdit.ControlNet(2, control_latent_channels=channels, **SD3, **LAYERS)
    form = comfy.latent_formats.SD3()
    form.shift_factor = 0
    return control_net(net, form, concat_mask=inpaint)


def sd35_net() -> Any:
    """A ControlNet for SD3.5 Large of Stability's."""
    net = comfy.cldm.dit_embedder.ControlNetEmbedder(
        img_size=None,
        patch_size=2,
        in_chans=16,
        num_layers=2,
        main_model_double=4,
        double_y_emb=True,
        attention_head_dim=64,
        num_attention_heads=4,
        adm_in_channels=2048,
        **LAYERS,
    )
    kind = comfy.controlnet.ControlNetSD35
    return control_net(net, comfy.latent_formats.SD3(), kind)
