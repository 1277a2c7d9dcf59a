"""Tiny random models of diffusers, shaped like SD1.5 and SDXL, and the same ControlNet as ours."""

import tempfile
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
from fakes import randomise_

import cnet_core as cn


@dataclass(frozen=True)
class Family:
    """How to build a family's models, and what its pipelines are."""

    shape: dict[str, object]
    unet_only: dict[str, object]
    plain: type
    controlled: type
    pooled_width: int = 0


SD15 = Family(
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
    return randomise_(UNet2DConditionModel(**family.shape, **family.unet_only), seed)


def controlnet(family: Family, seed: int, pooled: bool = False) -> ControlNetModel:
    """diffusers' ControlNet with random weights, zero convs included."""
    return randomise_(
        ControlNetModel(**family.shape, global_pool_conditions=pooled), seed, std=0.08
    )


def plain_pipeline(family: Family, model: UNet2DConditionModel, scheduler=None):
    """The family's text-to-image pipeline without text encoders and VAE."""
    return _silence_(family.plain(unet=model, scheduler=scheduler or ddim(), **_parts(family)))


def build_pipeline(family: Family, model, nets: list[ControlNetModel], scheduler=None):
    """The family's ControlNet pipeline."""
    net = nets[0] if len(nets) == 1 else MultiControlNetModel(nets)
    parts = {**_parts(family), "controlnet": net}
    return _silence_(family.controlled(unet=model, scheduler=scheduler or ddim(), **parts))


def _parts(family: Family) -> dict[str, object]:
    names = ["vae", "text_encoder", "tokenizer"]
    if family is SDXL:
        return dict.fromkeys([*names, "text_encoder_2", "tokenizer_2"]) | {"add_watermarker": False}
    optional = dict.fromkeys(["safety_checker", "feature_extractor"])
    return dict.fromkeys(names) | optional | {"requires_safety_checker": False}


def _silence_(pipe):
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


def as_ours(net: ControlNetModel) -> cn.ControlNet:
    """The same ControlNet as we load it from diffusers' own folder."""
    with tempfile.TemporaryDirectory() as folder:
        net.save_pretrained(folder)
        return cn.load_controlnet(folder).requires_grad_(False)
