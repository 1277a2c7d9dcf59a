"""A step as in diffusers' ControlNet pipelines, with diffusers' classes, in the same shape."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from ..nets.config import UNetConfig
from .settings import BenchSettings
from .timing import Work

PLAIN = "diffusers: UNet alone"
#: Column -> this library's column that does the same.
COUNTERPARTS = {
    "diffusers: both": "both",
    "diffusers: guess mode": "cond only",
    "diffusers: outside its window": "cond only, outside its window",
}
#: SDXL's vector condition: pooled text, then six numbers of 256 sines and cosines each.
NUMBERS, NUMBER_WIDTH = 6, 256


def columns(settings: BenchSettings, inputs: Mapping[str, Tensor], hint: Tensor) -> dict[str, Work]:
    """Returns diffusers' steps by name; none if diffusers is not installed."""
    if find_spec("diffusers") is None:
        return {}
    steps = _Steps(settings, inputs, hint)
    return {
        PLAIN: steps.plain,
        "diffusers: both": steps.both,
        "diffusers: guess mode": steps.guess_mode,
        "diffusers: outside its window": steps.outside,
    }


def models(config: UNetConfig) -> tuple[Any, Any]:
    """Returns diffusers' UNet and ControlNet of this shape, with random weights."""
    from diffusers import ControlNetModel, UNet2DConditionModel

    shape = _arguments(config)
    decoder = [kind.replace("Down", "Up") for kind in reversed(shape["down_block_types"])]
    return UNet2DConditionModel(**shape, up_block_types=tuple(decoder)), ControlNetModel(**shape)


def predict_with_control(unet: Any, net: Any, inputs: Mapping[str, Tensor], hint: Tensor) -> Tensor:
    """Returns the prediction of diffusers' models with control on every row, as its trainer computes it."""
    named = _name_arguments(inputs)
    skips, middle = net(**named, controlnet_cond=hint, return_dict=False)
    return unet(
        **named, down_block_additional_residuals=skips, mid_block_additional_residual=middle
    ).sample


class _Steps:
    """The pipelines' calls at every step, with random weights."""

    def __init__(self, settings: BenchSettings, inputs: Mapping[str, Tensor], hint: Tensor) -> None:
        with settings.build_on_device():
            self._unet, self._net = models(settings.config)
        for model in (self._unet, self._net):
            model.requires_grad_(False)
        self._inputs = _name_arguments(inputs)
        self._hint = hint.to(settings.torch_dtype)

    def plain(self) -> object:
        """The UNet alone."""
        return self._unet(**self._inputs)

    def both(self) -> object:
        """Control on all rows; the pipeline repeats the hint for both branches."""
        rows = len(self._inputs["sample"])
        skips, middle = self._residuals(self._inputs, self._hint.repeat(rows, 1, 1, 1))
        return self._run_unet(skips, middle)

    def guess_mode(self) -> object:
        """Control on the cond rows, zeros for the others."""
        half = len(self._inputs["sample"]) // 2
        cond = _half(self._inputs, half)
        skips, middle = self._residuals(cond, self._hint.repeat(half, 1, 1, 1), guess_mode=True)
        padded = [torch.cat([torch.zeros_like(skip), skip]) for skip in skips]
        return self._run_unet(padded, torch.cat([torch.zeros_like(middle), middle]))

    def outside(self) -> object:
        """Outside control_guidance_start and _end: the pipeline still runs the net, with a scale of 0."""
        rows = len(self._inputs["sample"])
        hint = self._hint.repeat(rows, 1, 1, 1)
        return self._run_unet(*self._residuals(self._inputs, hint, conditioning_scale=0.0))

    def _residuals(self, inputs: dict[str, Any], hint: Tensor, **how: float) -> tuple[Any, Any]:
        return self._net(**inputs, controlnet_cond=hint, return_dict=False, **how)

    def _run_unet(self, skips: Any, middle: Any) -> object:
        return self._unet(
            **self._inputs,
            down_block_additional_residuals=skips,
            mid_block_additional_residual=middle,
        )


def _name_arguments(inputs: Mapping[str, Tensor]) -> dict[str, Any]:
    """Returns a step's arguments under diffusers' names."""
    given: dict[str, Any] = {
        "sample": inputs["x"],
        "timestep": inputs["timesteps"],
        "encoder_hidden_states": inputs["context"],
    }
    if "y" in inputs:
        text = inputs["y"][:, : -NUMBERS * NUMBER_WIDTH]
        numbers = inputs["y"].new_full((len(text), NUMBERS), 1024.0)
        given["added_cond_kwargs"] = {"text_embeds": text, "time_ids": numbers}
    return given


def _half(inputs: dict[str, Any], begin: int) -> dict[str, Any]:
    return {
        name: _half(value, begin) if isinstance(value, dict) else value[begin:]  # pyright: ignore[reportUnknownArgumentType]
        for name, value in inputs.items()
    }


def _arguments(config: UNetConfig) -> dict[str, Any]:
    """Returns diffusers' arguments for both of its classes."""
    widths = [config.model_channels * mult for mult in config.channel_mult]
    depths = [levels[0] for levels in config.depths]
    shape: dict[str, Any] = {
        "block_out_channels": widths,
        "down_block_types": ["CrossAttnDownBlock2D" if d else "DownBlock2D" for d in depths],
        "transformer_layers_per_block": [max(1, depth) for depth in depths],
        "cross_attention_dim": config.context_dim,
        "attention_head_dim": list(config.head_counts),
        "use_linear_projection": config.linear_proj,
    }
    if config.y_dim is not None:
        shape |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": NUMBER_WIDTH,
            "projection_class_embeddings_input_dim": config.y_dim,
        }
    return shape
