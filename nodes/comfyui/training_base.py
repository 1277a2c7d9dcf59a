"""A MODEL as a base for training: its UNet, rebuilt as the library's own, its texts and its VAE."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_base
import torch
from torch import Tensor

from ...cnet_core import UNet
from ...cnet_core.checkpoints.shapes import unet_config_of
from ...cnet_core.training import Objective
from ...cnet_core.training.base import Text
from ...cnet_core.training.objective import Prediction
from .files import unet_weights


@dataclass
class RebuiltBase:
    """A MODEL's UNet, rebuilt; its texts, already encoded; its VAE for previews."""

    unet: UNet
    objective: Objective
    texts: dict[str, Text]
    vae: Any
    process_out: Callable[[Tensor], Tensor]

    def text(self, prompts: Sequence[str], height: int, width: int) -> Text:
        """Returns the encoded prompts, on the UNet's device."""
        found = [self.texts[prompt] for prompt in prompts]
        like = next(self.unet.parameters())
        ys = [text.y for text in found if text.y is not None]
        context = torch.cat([text.context for text in found])
        return Text(context.to(like), torch.cat(ys).to(like) if ys else None)

    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W)."""
        with torch.inference_mode():
            pictures = self.vae.decode(self.process_out(latents.float()))
        return pictures.clone().movedim(-1, 1)


def rebuild_base(
    model: Any, vae: Any, clip: Any, prompts: Sequence[str], size: Sequence[int]
) -> RebuiltBase:
    """Returns a MODEL as a base, with its prompts encoded.

    Args:
        model, vae, clip: ComfyUI's.
        prompts: all that training will ask for, the empty one among them.
        size: of the latents, height and width.

    Raises:
        ValueError: the UNet takes more than latents, or predicts neither eps nor v.
    """
    weights = unet_weights(model)
    heads = model.model.model_config.unet_config
    config = unet_config_of({key: tuple(value.shape) for key, value in weights.items()})
    count, width = heads.get("num_heads", -1), heads.get("num_head_channels", -1)
    config = config.with_heads(count if width == -1 else None, None if width == -1 else width)
    if config.in_channels != config.out_channels:
        raise ValueError(
            f"The MODEL's UNet takes {config.in_channels} channels: it is made for inpainting or for editing; train on "
            "the plain model of its family."
        )
    texts = {prompt: _text(model, clip, prompt, size) for prompt in prompts}
    with torch.inference_mode(False):
        unet = UNet(config)
        unet.load_state_dict({key: value.clone() for key, value in weights.items()})
        return RebuiltBase(unet, _objective(model), texts, vae, model.model.process_latent_out)


def _text(model: Any, clip: Any, prompt: str, size: Sequence[int]) -> Text:
    context, pooled = clip.encode_from_tokens(clip.tokenize(prompt), return_pooled=True)
    sides = {"height": 8 * size[0], "width": 8 * size[1]}
    y = model.model.encode_adm(pooled_output=pooled, device=context.device, **sides)
    with torch.inference_mode(False):
        return Text(context.clone(), None if y is None else y.clone())


def _objective(model: Any) -> Objective:
    kind = comfy.model_base.ModelType
    names: dict[Any, Prediction] = {kind.EPS: "epsilon", kind.V_PREDICTION: "v_prediction"}
    if model.model.model_type not in names:
        raise ValueError(
            f"The MODEL is of the type {model.model.model_type.name}; ControlNets are trained on models that predict "
            "eps or v."
        )
    sigmas = model.get_model_object("model_sampling").sigmas.float().cpu()
    with torch.inference_mode(False):
        return Objective(names[model.model.model_type], 1 / (1 + sigmas.clone() ** 2))
