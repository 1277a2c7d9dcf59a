"""The embedded tiny Stable Diffusion as ComfyUI's MODEL, CLIP and VAE.

Its UNet loads unchanged into ComfyUI's own UNetModel. Text encoder and autoencoder are the library's modules inside
ComfyUI's own CLIP and VAE classes, so that every core node accepts them.
"""

import math
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.sd
import comfy.supported_models_base
import comfy.taesd.taesd
import torch
from torch import Tensor, nn

from ...cnet_core.nets.config import UNetConfig
from ...cnet_core.nets.unet import UNet
from ...cnet_core.tiny.autoencoder import Autoencoder
from ...cnet_core.tiny.text import TextEmbedding, tokenize
from .control_net import CondControl
from .files import load_path
from .patcher import patcher_of

#: Bytes that the autoencoder needs per pixel of a picture (its widest features: 16 channels at the full size).
BYTES_PER_PIXEL = 256
#: How far the mask of a drawn hint extends beyond the outline, as a fraction of the side.
MASK_MARGIN = 1 / 16


def load_tiny() -> tuple[Any, Any, Any, CondControl]:
    """Returns the embedded model's MODEL, CLIP, VAE and CONTROL_NET."""
    from ...cnet_core.tiny.model import WEIGHTS, TinyStableDiffusion

    tiny = TinyStableDiffusion.load()
    control_net = CondControl(load_path(WEIGHTS / "control_net.safetensors"))
    return _model(tiny.unet), _clip(tiny.text), _vae(tiny.autoencoder), control_net


def draw_tiny_samples(count: int, side: int, seed: int) -> tuple[Tensor, Tensor, str]:
    """Returns pictures and hints (count, side, side, 3), 0..1, and their captions, one per line."""
    from ...cnet_core.tiny.training import TinySamples

    samples = TinySamples(Autoencoder(), side, count, f"node {seed}")
    pictures, hints, prompts = zip(*map(samples.sample, range(count)), strict=True)
    images, lines = (torch.cat(part).movedim(1, -1).contiguous() for part in (pictures, hints))
    return images, lines, "\n".join(prompts)


def draw_tiny_hint(
    kind: str,
    radius: float,
    centre: tuple[float, float],
    angle: float,
    side: int,
    draw_on: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns a thing's outline, (1, side, side, 3), and a mask of the thing with a margin, (1, side, side).

    Raises:
        ValueError: `draw_on` has another size.
    """
    from ...cnet_core.tiny.drawn_hint import draw_hint

    if draw_on is not None and draw_on.shape[1:] != (side, side, 3):
        raise ValueError(
            f"`draw_on` is {draw_on.shape[2]} x {draw_on.shape[1]} pixels, but `side` is {side}. "
            "Give both drawn hints the same side."
        )
    drawn, inside = draw_hint(kind, radius, centre, angle, side)
    hint = drawn.movedim(1, -1).contiguous()
    return hint if draw_on is None else torch.maximum(hint, draw_on), _grow(inside, side)


def _grow(inside: Tensor, side: int) -> Tensor:
    """Returns a mask (1, side, side) of all that is within MASK_MARGIN of the inside, line by line of a disc."""
    reach = round(MASK_MARGIN * side)
    padded = torch.nn.functional.pad(inside.float(), (reach + 1, reach, reach, reach))
    counts = padded.cumsum(-1)
    grown = torch.zeros(1, side, side, dtype=torch.bool)
    for down in range(-reach, reach + 1):
        half = math.isqrt(reach**2 - down**2)
        rows = counts[:, reach + down : reach + down + side]
        right, left = reach + 1 + half, reach - half
        grown |= rows[..., right : right + side] > rows[..., left : left + side]
    return grown.float()


def _model(unet: UNet, disable_dynamic: bool = False) -> Any:
    """Returns ComfyUI's ModelPatcher: Stable Diffusion's betas and eps prediction are its defaults."""
    management = comfy.model_management
    config = _TinyConfig(unet_arguments(unet.config))
    device = management.get_torch_device()
    dtype = management.unet_dtype(
        model_params=-1, supported_dtypes=config.supported_inference_dtypes
    )
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device))
    model = comfy.model_base.BaseModel(config)
    model.load_model_weights(dict(unet.state_dict()), "")
    patcher = patcher_of(model, device, management.unet_offload_device(), disable_dynamic)
    patcher.cached_patcher_init = (_model, (unet,))  # for a copy on a further GPU
    return patcher


def unet_arguments(config: UNetConfig) -> dict[str, Any]:
    """Returns the arguments of ComfyUI's UNetModel for a config."""
    depths = [depth for level in config.depths for depth in level]
    decoder = [depth for level in config.depths for depth in (*level, level[-1])]
    return {
        "image_size": 32,  # unused, but a required argument
        "in_channels": config.in_channels,
        "out_channels": config.out_channels,
        "model_channels": config.model_channels,
        "channel_mult": list(config.channel_mult),
        "num_res_blocks": [len(level) for level in config.depths],
        "num_heads": -1 if config.num_heads is None else config.num_heads,
        "num_head_channels": -1 if config.head_dim is None else config.head_dim,
        "transformer_depth": depths,
        "transformer_depth_output": decoder,
        "transformer_depth_middle": config.middle_depth,
        "context_dim": config.context_dim,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": config.linear_proj,
        "legacy": False,
    }


class _TinyConfig(comfy.supported_models_base.BASE):
    """Latents have unit variance, so they need no scale factor."""

    latent_format = comfy.latent_formats.LatentFormat
    unet_extra_config: dict[str, Any] = {}  # noqa: RUF012  (ComfyUI's own class attribute)
    memory_usage_factor = 0.2  # a fifth of SD1.x's width


def _clip(text: TextEmbedding) -> Any:
    target = comfy.supported_models_base.ClipTarget(_Tokenizer, _TextModel)
    target.params = {"text": text}
    return comfy.sd.CLIP(target)


class _Tokenizer:
    """Keeps the prompt as it is, since the text model reads words. Unknown words raise here."""

    def __init__(self, **arguments: object) -> None:
        """ComfyUI passes folders of embeddings; there are none."""

    def tokenize_with_weights(self, text: str, *args: object, **options: object) -> dict[str, Any]:
        """Returns the prompt under the name of the text model."""
        tokenize(text)
        return {"tiny": [text]}

    def state_dict(self) -> dict[str, Any]:
        """Nothing to save."""
        return {}


class _TextModel(nn.Module):
    """TextEmbedding with the few methods that ComfyUI's CLIP calls."""

    def __init__(self, text: TextEmbedding, device: torch.device, **options: object) -> None:
        super().__init__()
        self.text = text.to(device)
        self.dtypes = {torch.float32}

    def encode_token_weights(self, tokens: dict[str, Any]) -> tuple[Tensor, None]:
        """Returns the text embedding (1, 8, 64) and no pooled one."""
        return self.text(tokens["tiny"]), None

    def reset_clip_options(self) -> None:
        """There are no options."""

    def set_clip_options(self, options: dict[str, Any]) -> None:
        """There are no layers to skip."""


def _vae(autoencoder: Autoencoder) -> Any:
    """Returns ComfyUI's VAE around the library's autoencoder.

    ComfyUI builds its object around a small autoencoder of its own, so that it has every attribute of this version.
    Then the library's autoencoder replaces that one.
    """
    vae = comfy.sd.VAE(sd=comfy.taesd.taesd.TAESD().state_dict(), dtype=torch.float32)
    vae.first_stage_model = autoencoder.to(vae.device)
    vae.patcher = patcher_of(autoencoder, vae.device, comfy.model_management.vae_offload_device())
    vae.size = None
    vae.process_input = lambda pictures: pictures
    vae.process_output = lambda pictures: pictures.clamp(0, 1)
    vae.memory_used_encode = lambda shape, dtype: BYTES_PER_PIXEL * shape[2] * shape[3]
    vae.memory_used_decode = lambda shape, dtype: 64 * BYTES_PER_PIXEL * shape[2] * shape[3]
    return vae
