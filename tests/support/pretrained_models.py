"""Tiny random pipelines of diffusers on disk, as folders."""

import json
import re
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, StableDiffusionXLPipeline
from diffusers_models import SD15, SDXL, ddim, unet
from fakes import randomised
from safetensors.torch import save_file
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from cnet_core.checkpoints.unet import load_unet

WORDS = ("a", "red", "blue", "star")
WIDTH = 24


def tokenizer(folder: Path) -> CLIPTokenizer:
    """A tokenizer of a few words."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted({c for word in WORDS for c in word})
    tokens = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16
    )


def text_encoder(width: int, seed: int, projected: int = 0) -> torch.nn.Module:
    """A text encoder of two layers."""
    config = CLIPTextConfig(
        vocab_size=40,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=16,
        projection_dim=projected or width,
        eos_token_id=39,
    )
    kind = CLIPTextModelWithProjection if projected else CLIPTextModel
    return randomised(kind(config), seed, 0.2).train(False)


def autoencoder() -> AutoencoderKL:
    """An autoencoder with Stable Diffusion's four levels."""
    model = AutoencoderKL(
        block_out_channels=(32, 32, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=4,
        sample_size=64,
    )
    return randomised(model, 3).train(False)


def sd15(folder: Path) -> StableDiffusionPipeline:
    """Writes a pipeline shaped like SD1.5 and returns it."""
    made = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(WIDTH, 4),
        tokenizer=tokenizer(folder / "words"),
        unet=unet(SD15),
        scheduler=ddim(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.save_pretrained(folder)
    return made


def checkpoint(pipeline: StableDiffusionPipeline, file: Path) -> None:
    """Writes a pipeline of SD1.5's shape as one file with the keys of released checkpoints."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline.unet.save_pretrained(Path(folder) / "unet")
        unet = load_unet(Path(folder)).state_dict()
    parts = {
        "model.diffusion_model.": unet,
        "first_stage_model.": dict(_ldm_vae(k, v) for k, v in pipeline.vae.state_dict().items()),
        "cond_stage_model.transformer.text_model.": {
            k.removeprefix("text_model."): v  # transformers from 5.6 on leaves it out
            for k, v in pipeline.text_encoder.state_dict().items()
        },
    }
    tensors = {p + k: v.contiguous() for p, part in parts.items() for k, v in part.items()}
    save_file(tensors, file)


#: diffusers' name in an autoencoder -> the released checkpoints' name.
VAE_NAMES = (
    (r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda m: f"up.{3 - int(m[1])}.block.{m[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample"),
    (r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"mid_block\.attentions\.0\.to_(.)", r"mid.attn_1.\1"),
    ("conv_norm_out", "norm_out"),
    ("conv_shortcut", "nin_shortcut"),
)


def _ldm_vae(name: str, tensor: torch.Tensor) -> tuple[str, torch.Tensor]:
    for pattern, new in VAE_NAMES:
        name = re.sub(pattern, new, name)
    return name, tensor[:, :, None, None] if "attn_1" in name and tensor.dim() == 2 else tensor


def sdxl(folder: Path) -> StableDiffusionXLPipeline:
    """Writes a pipeline shaped like SDXL and returns it."""
    words = tokenizer(folder / "words")
    made = StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(WIDTH - SDXL.pooled_width, 4),
        text_encoder_2=text_encoder(SDXL.pooled_width, 5, projected=SDXL.pooled_width),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet(SDXL),
        scheduler=ddim(),
    )
    made.save_pretrained(folder)
    return made
