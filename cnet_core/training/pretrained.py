"""Real base models: a diffusers folder, or an SD1.x, SD2.x or SDXL checkpoint; needs diffusers and transformers.

The UNet is loaded as a cnet_core.UNet. Autoencoder, text encoders and tokenizers are diffusers' and transformers', and
stay on the CPU while the UNet trains: latents and texts are computed beforehand.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.container.places import model_folder, variant_of, weights_in
from ..checkpoints.unet import load_unet
from ..nets.blocks import timestep_embedding
from ..nets.unet import UNet
from .base import Text
from .data import Progress
from .objective import Objective, parse_prediction
from .pictures import Cache

NEEDED = (
    "Training on a real base needs diffusers and transformers: pip install 'cnet-nodes[train]'."
)
#: Folders of a base whose files decide latents and texts.
ENCODERS = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
#: The last value of a schedule that ends without signal, where noise is undefined; the same as in diffusers' Euler.
LEAST_SIGNAL = 2**-24
#: The numbers that SDXL gets about a picture: original size, crop, target size.
TIME_IDS = 6


@dataclass
class PretrainedBase:
    """A base model from disk."""

    name: str  # unique to this base, even if another replaces it on disk
    unet: UNet
    objective: Objective
    parts: Any  # a diffusers pipeline without its UNet
    cache: Cache
    device: torch.device

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation of the scaled latents of pictures (B, 3, H, W), 0..1."""
        vae = self.parts.vae.to(self.device)
        found = vae.encode((pictures * 2 - 1).to(self.device, vae.dtype)).latent_dist
        scale, shift = vae.config.scaling_factor, getattr(vae.config, "shift_factor", None) or 0.0
        return (found.mean - shift) * scale, found.std * scale

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W), nominally 0..1."""
        vae = self.parts.vae
        scale, shift = vae.config.scaling_factor, getattr(vae.config, "shift_factor", None) or 0.0
        return vae.decode(latents.to(vae.device, vae.dtype) / scale + shift).sample / 2 + 0.5

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the text of prompts; encodes each once and keeps it on disk."""
        found = [
            self.cache.get(f"{self.name} {p}", lambda p=p: self._encode_prompt(p)) for p in prompts
        ]
        like = next(self.unet.parameters())
        context = torch.cat([text["context"] for text in found]).to(like)
        if self.unet.config.y_dim is None:
            return Text(context)
        pooled = torch.cat([text["pooled"] for text in found]).to(like)
        return Text(context, _vector(pooled, height, width, self.unet.config.y_dim))

    def prepare(self, prompts: Sequence[str], progress: Progress | None = None) -> None:
        """Encodes all prompts, and the empty one, that are not on disk yet."""
        different = list(dict.fromkeys(["", *prompts]))
        for index, prompt in enumerate(different, start=1):
            self.cache.get(f"{self.name} {prompt}", lambda p=prompt: self._encode_prompt(p))
            if progress is not None:
                progress(index, len(different))

    def offload(self) -> None:
        """Moves everything but the UNet off the device."""
        for part in (self.parts.vae, *(encoder for encoder, _ in self._encoders)):
            part.to("cpu")

    @property
    def _encoders(self) -> list[tuple[Any, Any]]:
        names = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
        pairs = [(getattr(self.parts, a, None), getattr(self.parts, b, None)) for a, b in names]
        return [(encoder, tokenizer) for encoder, tokenizer in pairs if encoder is not None]

    @torch.no_grad()
    def _encode_prompt(self, prompt: str) -> dict[str, Tensor]:
        outputs = [
            self._output(encoder, tokenizer, prompt) for encoder, tokenizer in self._encoders
        ]
        if self.unet.config.y_dim is None:
            return {"context": outputs[0].last_hidden_state.float()}
        hidden = [output.hidden_states[-2] for output in outputs]
        return {
            "context": torch.cat(hidden, dim=-1).float(),
            "pooled": outputs[-1].text_embeds.float(),
        }

    def _output(self, encoder: Any, tokenizer: Any, prompt: str) -> Any:
        length = tokenizer.model_max_length
        tokens = tokenizer(
            [prompt], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        ids = tokens.input_ids.to(self.device)
        return encoder.to(self.device)(ids, output_hidden_states=True)


def load_base(
    path: Path, cache: Cache, device: torch.device, config: Path | None = None
) -> PretrainedBase:
    """Returns the base model of a diffusers folder or a checkpoint file.

    Args:
        path: the folder, also of a model in Hugging Face's cache, or the file.
        cache: the folder for latents and texts.
        device: the device for latents and texts.
        config: for a file: a folder with tokenizer, configs and scheduler as diffusers lays them out; None lets
            diffusers download them.

    Raises:
        ValueError: the libraries are missing, or it is not a Stable Diffusion.
    """
    path = model_folder(path)
    unet = load_unet(path)
    if unet.config.in_channels != 4:
        raise ValueError(
            f"{path} takes {unet.config.in_channels} channels: it is made for inpainting or for editing; train on the "
            "plain model of its family."
        )
    _check_family(config if path.is_file() and config else path, unet)
    parts = _parts(path, config, unet)
    return PretrainedBase(_name(path, config), unet, _objective(parts), parts, cache, device)


def _name(path: Path, config: Path | None) -> str:
    """Returns a name that changes with whatever turns pictures and texts into latents and embeddings."""
    files = [path]
    for folder in filter(None, (path, config)):
        files += sorted(f for part in ENCODERS for f in folder.glob(f"{part}/*") if f.is_file())
    stats = [(str(file.resolve()), file.stat()) for file in files if file.is_file()]
    return " ".join([str(path.resolve()), *(f"{f} {s.st_size} {s.st_mtime_ns}" for f, s in stats)])


def _objective(parts: Any) -> Objective:
    """Noise levels and prediction type, as the scheduler's config says."""
    kind = parts.scheduler.config.get("prediction_type", "epsilon")
    alphas = parts.scheduler.alphas_cumprod.float().cpu().clamp(min=LEAST_SIGNAL)
    return Objective(parse_prediction(kind), alphas)


def _parts(path: Path, config: Path | None, unet: UNet) -> Any:
    library = _diffusers()
    kind = library.StableDiffusionPipeline
    if unet.config.y_dim is not None:
        kind = library.StableDiffusionXLPipeline
    options: dict[str, Any] = {"unet": None}
    if unet.config.y_dim is None:
        options |= {"safety_checker": None, "feature_extractor": None}
    try:
        if path.is_dir():
            variant = _variant(path)
            return kind.from_pretrained(
                str(path), local_files_only=True, variant=variant, **options
            )
        if config is not None:
            options |= {"config": str(config), "local_files_only": True}
        return kind.from_single_file(str(path), **options)
    except (OSError, ValueError, KeyError, TypeError, _missing_part_error()) as error:
        first = str(error).strip().splitlines()[:1]
        advice = (
            ""
            if path.is_dir() or config
            else " Without internet access, give its configs with `--config DIR`."
        )
        raise ValueError(f"{path} cannot be loaded: {''.join(first)}.{advice}") from error


def _variant(folder: Path) -> str | None:
    """Returns the variant that diffusers needs to find the weights: "fp16", "bf16" …; None if it needs none."""
    parts = [folder / part for part in ENCODERS if (folder / part).is_dir()]
    files = [file for part in parts if (file := weights_in(part)) is not None]
    return next((variant for file in files if (variant := variant_of(file))), None)


def _diffusers() -> Any:
    try:
        import_module("transformers")
        return import_module("diffusers")
    except ImportError as error:
        raise ValueError(NEEDED) from error


def _missing_part_error() -> type[Exception]:
    """The error that diffusers raises if a file misses a part of its pipeline; it is not a built-in one."""
    return import_module("diffusers.loaders.single_file_utils").SingleFileComponentError


def _check_family(folder: Path, unet: UNet) -> None:
    """Raises ValueError if a folder's text encoders are not those that the UNet was trained with."""
    files = [folder / part / "config.json" for part in ("text_encoder", "text_encoder_2")]
    widths = [json.loads(f.read_text())["hidden_size"] for f in files if f.is_file()]
    if widths and sum(widths) != unet.config.context_dim:
        raise ValueError(
            f"{folder}: its text encoder gives embeddings {sum(widths)} wide, but the UNet takes "
            f"{unet.config.context_dim} (SD1.x 768, SD2.x 1024, SDXL 2048): the two are of different families."
        )


def _vector(pooled: Tensor, height: int, width: int, y_dim: int) -> Tensor:
    """Returns SDXL's y (B, y_dim): pooled text, and the picture's size as if it had not been cropped."""
    ids = torch.tensor([height, width, 0, 0, height, width], device=pooled.device)
    embedded = timestep_embedding(ids, (y_dim - pooled.shape[-1]) // TIME_IDS)
    return torch.cat([pooled, embedded.reshape(1, -1).expand(len(pooled), -1).to(pooled)], dim=-1)
