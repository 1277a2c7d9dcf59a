"""Tiny random models with a control patch on them, of ComfyUI's real classes and with the released block counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy_extras.nodes_model_patch as extras
import torch
from families import Vae
from qwen_nets import QWEN, qwen
from random_nets import CPU, LAYERS, patcher, randomise
from torch import Tensor, nn


@dataclass(frozen=True)
class Patched:
    """A model, and how ComfyUI's own node puts a control patch on it."""

    model: Callable[[], Any]  # a MODEL
    net: Callable[[], nn.Module]
    apply: Callable[..., Any]  # (MODEL, MODEL_PATCH, VAE, picture, strength) -> MODEL
    blocks: int  # of the net's own
    text: int  # width of the text embeddings
    calls: Callable[
        [nn.Module], nn.Module
    ]  # the part of the net that is called once for each block and call
    channels: int = 16
    pooled: int = 0
    frames: bool = True  # latents (B, C, 1, h, w)
    tokens: int = 7
    extras: Mapping[str, Any] = field(default_factory=dict)


class PatchVae(Vae):
    """As families.Vae, with what patches for videos ask too."""

    def temporal_compression_decode(self) -> int:
        """As ComfyUI's VAE."""
        return 4

    def encode(self, pixels: Tensor) -> Tensor:
        """As ComfyUI's VAE."""
        found = super().encode(pixels)
        return found[:1] if self._frames else found


def model_patch(net: nn.Module) -> Any:
    """Returns a MODEL_PATCH, as ComfyUI's loader does."""
    return comfy.model_patcher.ModelPatcher(randomise(net, 2), CPU, CPU)


def _qwen_net() -> nn.Module:
    return extras.QwenImageBlockWiseControlNet(60, dim=QWEN_WIDTH, **LAYERS)


QWEN_WIDTH = QWEN["attention_head_dim"] * QWEN["num_attention_heads"]


def _diffsynth(model: Any, patch: Any, vae: Any, image: Tensor, strength: float) -> Any:
    node = extras.QwenImageDiffsynthControlnet()
    return node.diffsynth_controlnet(model, patch, vae, image, strength)[0]


PATCHED: dict[str, Patched] = {
    "Qwen DiffSynth": Patched(
        qwen, _qwen_net, _diffsynth, 60, 32, lambda net: net.controlnet_blocks[0]
    ),
}


def _z_image() -> Any:
    shape = {"image_model": "lumina2", "dim": 256, "n_layers": 30, "n_heads": 8, "n_kv_heads": 8}
    more = {"cap_feat_dim": 32, "axes_dims": [8, 12, 12], "axes_lens": [64, 64, 64]}
    own = {"in_channels": 16, "qk_norm": True, "z_image_modulation": True, "norm_eps": 1e-5}
    tail = {"time_scale": 1000.0, "ffn_dim_multiplier": 1.0, "pad_tokens_multiple": 32}
    return patcher(comfy.supported_models.ZImage({**shape, **more, **own, **tail}))


def _z_image_net(**more: Any) -> nn.Module:
    control = extras.comfy.ldm.lumina.controlnet.ZImage_Control
    return control(dim=256, n_heads=8, n_kv_heads=8, ffn_dim_multiplier=1.0, **more, **LAYERS)


def _anima() -> Any:
    shape = {"max_img_h": 32, "max_img_w": 32, "max_frames": 8, "in_channels": 16, "num_blocks": 28}
    more = {"out_channels": 16, "patch_spatial": 2, "patch_temporal": 1, "model_channels": 64}
    tail = {"num_heads": 2, "crossattn_emb_channels": 32, "pos_emb_cls": "rope3d"}
    lora = {"use_adaln_lora": True, "adaln_lora_dim": 16, "extra_per_block_abs_pos_emb": False}
    config = {**shape, **more, **tail, **lora, "image_model": "anima"}
    return patcher(comfy.supported_models.Anima(config))


def _anima_net() -> nn.Module:
    targets = ["self_attn_q_proj", "self_attn_k_proj", "cross_attn_q_proj", "mlp_layer1"]
    names = [f"lllite_dit_blocks_{block}_{target}" for block in range(28) for target in targets]
    shapes = {
        "lllite_conditioning1.conv1.weight": (16, 3, 4, 4),
        "lllite_conditioning1.conv3.weight": (32, 16, 4, 4),
        "lllite_conditioning1.proj.weight": (16, 32, 1, 1),
        **{f"{name}.down.weight": (8, 64) for name in names},
        **{f"{name}.cond_to_film.weight": (16, 16) for name in names},
    }
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return extras.comfy.ldm.anima.lllite.AnimaLLLite(state, None, **LAYERS)


def _lllite(model: Any, patch: Any, vae: Any, image: Tensor, strength: float) -> Any:
    return extras.AnimaLLLiteApply().apply_patch(model, patch, image, strength, 0.0, 1.0)[0]


def _wan() -> Any:
    shape = {"image_model": "wan2.1", "model_type": "t2v", "dim": 64, "ffn_dim": 64}
    more = {"freq_dim": 32, "text_dim": 32, "num_heads": 2, "num_layers": 40, "in_dim": 16}
    return patcher(comfy.supported_models.WAN21_T2V({**shape, **more, "out_dim": 16}))


def _uni3c_net() -> nn.Module:
    width = {"conv_out_dim": 64, "dim": 64, "ffn_dim": 64, "num_heads": 2, "time_embed_dim": 64}
    net = extras.comfy.ldm.wan.uni3c.WanUni3CControlnet
    return net(out_proj_dim=64, num_layers=20, mid_channels=16, **width, **LAYERS)


def _uni3c(model: Any, patch: Any, vae: Any, image: Tensor, strength: float) -> Any:
    node = extras.WanUni3CControlnetApply()
    return node.apply_patch(model, patch, vae, image, strength, 0.0, 1.0)[0]


if hasattr(extras, "ZImageControlPatch"):
    _Z_IMAGE = {"text": 32, "frames": False, "tokens": 32}
    PATCHED["Z-Image Fun v1"] = Patched(
        _z_image, _z_image_net, _diffsynth, 6, calls=lambda net: net.control_layers[0], **_Z_IMAGE
    )
    PATCHED["Z-Image Fun v2.1"] = Patched(
        _z_image,
        lambda: _z_image_net(n_control_layers=15, additional_in_dim=17, refiner_control=True),
        _diffsynth,
        17,
        calls=lambda net: net.control_layers[0],
        **_Z_IMAGE,
    )
if hasattr(extras, "AnimaLLLiteApply"):
    PATCHED["Anima LLLite"] = Patched(
        _anima,
        _anima_net,
        _lllite,
        28,
        32,
        lambda net: net.lllite_dit_blocks_0_cross_attn_q_proj,
    )
if hasattr(extras, "WanUni3CControlnetApply"):
    PATCHED["Wan Uni3C"] = Patched(
        _wan, _uni3c_net, _uni3c, 20, 32, lambda net: net.controlnet_blocks[0]
    )

__all__ = ["PATCHED", "PatchVae", "Patched", "model_patch"]
