"""Tiny Flux and Chroma models with their control nets."""

from typing import Any

import comfy.latent_formats
import comfy.ldm.flux.controlnet
import comfy.supported_models
from comfy.ldm.chroma.model import ChromaParams
from random_nets import LAYERS, control_net, patcher
from torch import nn

FLUX = {
    "in_channels": 16,
    "out_channels": 16,
    "vec_in_dim": 32,
    "context_in_dim": 32,
    "hidden_size": 32,
    "mlp_ratio": 2.0,
    "num_heads": 2,
    "axes_dim": [4, 6, 6],
    "theta": 10000,
    "patch_size": 2,
    "qkv_bias": True,
    "guidance_embed": True,
}
try:
    from comfy.ldm.flux.model import FluxParams

    if "txt_ids_dims" in FluxParams.__dataclass_fields__:
        FLUX["txt_ids_dims"] = []
except ImportError:
    pass


def flux(depth: int = 19, singles: int = 38) -> Any:
    """Flux dev."""
    shape = {"depth": depth, "depth_single_blocks": singles, "image_model": "flux"}
    return patcher(comfy.supported_models.Flux({**FLUX, **shape}))


def flux_net(depth: int, singles: int, **more: Any) -> nn.Module:
    """ComfyUI's module of a ControlNet for Flux."""
    shape = {"depth": depth, "depth_single_blocks": singles}
    return comfy.ldm.flux.controlnet.ControlNetFlux(**more, **FLUX, **shape, **LAYERS)


def flux_instantx(union: int = 0, inpaint: bool = False) -> Any:
    """A ControlNet for Flux of InstantX's, or alimama's for inpainting."""
    channels, singles = (17, 0) if inpaint else (16, 10)
    net = flux_net(
        5, singles, latent_input=True, num_union_modes=union, control_latent_channels=channels
    )
    extra = {"extra_conds": ["y", "guidance"], "concat_mask": inpaint}
    return control_net(net, comfy.latent_formats.Flux(), **extra)


def flux_xlabs() -> Any:
    """A ControlNet for Flux of XLabs'."""
    return control_net(flux_net(2, 0), None, extra_conds=["y", "guidance"])


def chroma() -> Any:
    """Chroma: Flux's blocks."""
    shape = {"depth": 19, "depth_single_blocks": 38, "image_model": "chroma"}
    own = {"in_dim": 64, "out_dim": 32, "hidden_dim": 32, "n_layers": 2, "in_channels": 64}
    kept = {k: FLUX[k] for k in FLUX if k in ChromaParams.__dataclass_fields__}
    return patcher(comfy.supported_models.Chroma({**kept, **shape, **own, "out_channels": 64}))
