"""Tiny random pipelines of diffusers on disk, as folders.

Each is built once and written wherever a test needs it. A test that changes a pipeline makes a deep copy first.
"""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DiffusionPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
)
from diffusers_models import SD15, SDXL, Family, ddim, unet
from fakes import randomise_
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
    return randomise_(kind(config), seed, 0.2).train(False)


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
    return randomise_(model, 3).train(False)


def sd15(folder: Path) -> StableDiffusionPipeline:
    """Writes a pipeline shaped like SD1.5 and returns it."""
    return _write(_sd15(), folder)


def sd21(folder: Path) -> StableDiffusionPipeline:
    """Writes a pipeline shaped like SD2.1 and returns it: heads 64 wide, linear projections, v-prediction."""
    return _write(_sd21(), folder)


def sdxl(folder: Path) -> StableDiffusionXLPipeline:
    """Writes a pipeline shaped like SDXL and returns it."""
    return _write(_sdxl(), folder)


P = TypeVar("P", bound=DiffusionPipeline)


def _write(made: P, folder: Path) -> P:
    made.save_pretrained(folder)
    return made


@cache
def _sd15() -> StableDiffusionPipeline:
    return _plain(SD15, ddim())


@cache
def _sd21() -> StableDiffusionPipeline:
    widths = {"block_out_channels": (64, 128, 128, 128), "attention_head_dim": (1, 2, 2, 2)}
    family = replace(SD15, shape={**SD15.shape, **widths, "use_linear_projection": True})
    return _plain(family, DDIMScheduler.from_config(ddim().config, prediction_type="v_prediction"))


def _plain(family: Family, scheduler: DDIMScheduler) -> StableDiffusionPipeline:
    return StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(WIDTH, 4),
        tokenizer=_words(),
        unet=unet(family),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@cache
def _sdxl() -> StableDiffusionXLPipeline:
    words = _words()
    return StableDiffusionXLPipeline(
        vae=autoencoder(),
        text_encoder=text_encoder(WIDTH - SDXL.pooled_width, 4),
        text_encoder_2=text_encoder(SDXL.pooled_width, 5, projected=SDXL.pooled_width),
        tokenizer=words,
        tokenizer_2=words,
        unet=unet(SDXL),
        scheduler=ddim(),
    )


def _words() -> CLIPTokenizer:
    with tempfile.TemporaryDirectory() as folder:
        return tokenizer(Path(folder))


def write_checkpoint(pipeline: DiffusionPipeline, file: Path, texts: Mapping[str, str]) -> None:
    """Writes a pipeline as one file with the keys of released checkpoints.

    `texts` are the prefixes of TEXTS, by the pipeline's text encoder.
    """
    with tempfile.TemporaryDirectory() as folder:
        pipeline.unet.save_pretrained(Path(folder) / "unet")
        unet = load_unet(Path(folder)).state_dict()
    parts = {
        "model.diffusion_model.": unet,
        "first_stage_model.": dict(_ldm_vae(k, v) for k, v in pipeline.vae.state_dict().items()),
    }
    for name, prefix in texts.items():
        # transformers from 5.6 on leaves out the prefix of the plain encoder
        state = getattr(pipeline, name).state_dict()
        state = {k.removeprefix("text_model."): v for k, v in state.items()}
        parts[prefix] = _open_clip(state) if "transformer" not in prefix else state
    tensors = {p + k: v.contiguous() for p, part in parts.items() for k, v in part.items()}
    save_file(tensors, file)


#: Prefix of each text encoder in a released checkpoint, by the pipeline's name for it.
SD1_TEXTS = {"text_encoder": "cond_stage_model.transformer.text_model."}
SD2_TEXTS = {"text_encoder": "cond_stage_model.model."}
SDXL_TEXTS = {
    "text_encoder": "conditioner.embedders.0.transformer.text_model.",
    "text_encoder_2": "conditioner.embedders.1.model.",
}

#: transformers' name in a text encoder -> OpenCLIP's, whose weights SD2.x and SDXL have.
OPEN_CLIP_NAMES = (
    (r"embeddings\.token_embedding", "token_embedding"),
    (r"embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"text_projection\.weight", "text_projection"),
    ("final_layer_norm", "ln_final"),
    (r"encoder\.layers", "transformer.resblocks"),
    ("layer_norm", "ln_"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
)


def _open_clip(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if "q_proj" in name:  # q, k and v are one there
            joined = [state[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            found[
                re.sub(
                    r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.(.*)",
                    r"transformer.resblocks.\1.attn.in_proj_\2",
                    name,
                )
            ] = torch.cat(joined)
        elif not re.search("[kv]_proj", name):
            new = name
            for pattern, replacement in OPEN_CLIP_NAMES:
                new = re.sub(pattern, replacement, new)
            found[new] = tensor.T if new == "text_projection" else tensor
    return found


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
