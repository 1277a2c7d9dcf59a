"""Tiny random models of diffusers, shaped like SD1.5 and SDXL, and the same ControlNet as ours."""

import re
from dataclasses import dataclass

import torch
from diffusers import (
    ControlNetModel,
    DDIMScheduler,
    MultiControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from fakes import randomised

import cnet_core as cn


@dataclass(frozen=True)
class Family:
    """How to build a family's models, and what its pipelines are."""

    config: cn.UNetConfig
    shape: dict[str, object]
    unet_only: dict[str, object]
    plain: type
    controlled: type
    pooled_width: int = 0


SD15 = Family(
    cn.UNetConfig(model_channels=32, channel_mult=(1, 2, 2, 2), context_dim=24, num_heads=4),
    {
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        "cross_attention_dim": 24,
        "attention_head_dim": 4,  # the number of heads, in diffusers' SD1.x configs
    },
    {"up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3, "sample_size": 8},
    StableDiffusionPipeline,
    StableDiffusionControlNetPipeline,
)
SDXL = Family(
    cn.UNetConfig(
        model_channels=32,
        channel_mult=(1, 2, 4),
        transformer_depth=(0, 1, 2),
        middle_depth=2,
        context_dim=24,
        num_heads=None,
        head_dim=16,
        linear_proj=True,
        y_dim=20 + 6 * 8,
    ),
    {
        "block_out_channels": (32, 64, 128),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "transformer_layers_per_block": [1, 1, 2],
        "cross_attention_dim": 24,
        "attention_head_dim": (2, 4, 8),  # numbers of heads: widths / 16
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 20 + 6 * 8,
    },
    {"up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "sample_size": 8},
    StableDiffusionXLPipeline,
    StableDiffusionXLControlNetPipeline,
    pooled_width=20,
)
FAMILIES = {"SD1.5": SD15, "SDXL": SDXL}


def ddim() -> DDIMScheduler:
    """The scheduler of Stable Diffusion's released config."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def unet(family: Family, seed: int = 0) -> UNet2DConditionModel:
    """A UNet with random weights."""
    return randomised(UNet2DConditionModel(**family.shape, **family.unet_only), seed)


def controlnet(family: Family, seed: int, pooled: bool = False) -> ControlNetModel:
    """diffusers' ControlNet with random weights, zero convs included."""
    return randomised(
        ControlNetModel(**family.shape, global_pool_conditions=pooled), seed, std=0.08
    )


def plain_pipeline(family: Family, model: UNet2DConditionModel, scheduler=None):
    """The family's text-to-image pipeline without text encoders and VAE."""
    return _quiet(family.plain(unet=model, scheduler=scheduler or ddim(), **_parts(family)))


def controlled_pipeline(family: Family, model, nets: list[ControlNetModel], scheduler=None):
    """The family's ControlNet pipeline."""
    net = nets[0] if len(nets) == 1 else MultiControlNetModel(nets)
    parts = {**_parts(family), "controlnet": net}
    return _quiet(family.controlled(unet=model, scheduler=scheduler or ddim(), **parts))


def _parts(family: Family) -> dict[str, object]:
    names = ["vae", "text_encoder", "tokenizer"]
    if family is SDXL:
        return dict.fromkeys([*names, "text_encoder_2", "tokenizer_2"]) | {"add_watermarker": False}
    optional = dict.fromkeys(["safety_checker", "feature_extractor"])
    return dict.fromkeys(names) | optional | {"requires_safety_checker": False}


def _quiet(pipe):
    pipe.set_progress_bar_config(disable=True)
    return pipe


def run_arguments(family: Family, pictures: int = 1, seed: int = 5) -> dict[str, object]:
    """Embedded prompts and latents, for runs that end in latents."""
    generator = torch.Generator().manual_seed(seed)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    given = {
        "prompt_embeds": noise(pictures, 7, 24),
        "negative_prompt_embeds": noise(pictures, 7, 24),
        "latents": noise(pictures, 4, 8, 8),
        "num_inference_steps": 10,
        "output_type": "latent",
        "height": 64,
        "width": 64,
    }
    if family.pooled_width:
        given["pooled_prompt_embeds"] = noise(pictures, family.pooled_width)
        given["negative_pooled_prompt_embeds"] = noise(pictures, family.pooled_width)
    return given


def as_ours(net: ControlNetModel, family: Family) -> cn.ControlNet:
    """The same ControlNet as cnet_core.ControlNet, keys renamed."""
    ours = cn.ControlNet(family.config)
    names = {key: _ldm_key(key) for key in net.state_dict()}
    ours.load_state_dict({names[key]: value for key, value in net.state_dict().items()})
    ours.pooled = bool(net.config.global_pool_conditions)
    return ours.requires_grad_(False)


#: diffusers' name -> ldm's. Blocks of two ResNets and a downsampling each, so block 3i+j+1 is level i's j-th.
_RULES = [
    (r"^conv_in\.", "input_blocks.0.0."),
    (r"^time_embedding\.linear_(\d)", lambda m: f"time_embed.{2 * int(m[1]) - 2}"),
    (r"^add_embedding\.linear_(\d)", lambda m: f"label_emb.0.{2 * int(m[1]) - 2}"),
    (r"^down_blocks\.(\d)\.resnets\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.0"),
    (r"^down_blocks\.(\d)\.attentions\.(\d)", lambda m: f"input_blocks.{3 * int(m[1]) + int(m[2]) + 1}.1"),
    (r"^down_blocks\.(\d)\.downsamplers\.0\.conv", lambda m: f"input_blocks.{3 * int(m[1]) + 3}.0.op"),
    (r"^mid_block\.resnets\.(\d)", lambda m: f"middle_block.{2 * int(m[1])}"),
    (r"^mid_block\.attentions\.0", "middle_block.1"),
    (r"^controlnet_down_blocks\.(\d+)", r"zero_convs.\1.0"),
    (r"^controlnet_mid_block", "middle_block_out.0"),
    (r"^controlnet_cond_embedding\.conv_in", "input_hint_block.0"),
    (r"^controlnet_cond_embedding\.blocks\.(\d)", lambda m: f"input_hint_block.{2 * int(m[1]) + 2}"),
    (r"^controlnet_cond_embedding\.conv_out", "input_hint_block.14"),
]  # fmt: skip
_RES_BLOCK = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def _ldm_key(key: str) -> str:
    found = key
    if ".resnets." in key:
        head, layer, kind = key.rsplit(".", 2)
        found = f"{head}.{_RES_BLOCK[layer]}.{kind}"
    for pattern, ldm in _RULES:
        found = re.sub(pattern, ldm, found)
    return found
