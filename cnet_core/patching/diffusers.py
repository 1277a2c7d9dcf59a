"""Adapter for diffusers' UNet2DConditionModel and AnimateDiff's UNetMotionModel: residuals are their arguments.

diffusers is not imported: everything is read from the model. Source of the rules: diffusers 0.42
(models/unets/unet_2d_condition.py, `forward` and `get_aug_embed`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..nets.residuals import Residuals, fit_to_feature
from .adapter import OnCall
from .arguments import argument_names, name_arguments, require, with_changes

SKIPS = "down_block_additional_residuals"
MIDDLE = "mid_block_additional_residual"
#: T2I-Adapters' argument. If SKIPS comes without MIDDLE, diffusers treats it as this one.
INSIDE = "down_intrablock_additional_residuals"

#: Additional conditions that ControlNets support: none (SD1.x, SD2.x) and SDXL's.
KNOWN_EMBEDDINGS = (None, "text_time")


class DiffusersAdapter:
    """Adds to `down_block_additional_residuals` and `mid_block_additional_residual` by a forward pre-hook."""

    def fits(self, unet: nn.Module) -> bool:
        """Whether the model's forward takes additional residuals."""
        return {SKIPS, MIDDLE} <= set(argument_names(unet))

    def attach(self, unet: nn.Module, on_call: OnCall) -> Sequence[RemovableHandle]:
        """Hooks `on_call` into the UNet.

        Raises:
            ValueError: a UNet with further conditions that no ControlNet supports.
        """
        kind = _config(unet, "addition_embed_type")
        if kind not in KNOWN_EMBEDDINGS:
            raise ValueError(
                f"`unet` has the addition_embed_type {kind!r}, which Stable Diffusion's ControlNets do not support; "
                "they fit SD1.x, SD2.x (None) and SDXL ('text_time')."
            )
        add = _AddArguments(unet, on_call)
        return [
            unet.register_forward_pre_hook(add, with_kwargs=True),
            *(m.register_forward_hook(add.see) for m in _encoder(unet)),
            unet.register_forward_hook(add.forget, always_call=True),
        ]


@dataclass(frozen=True)
class _Skip:
    channels: int
    level: int  # how often the latent's sides are halved, rounding up


class _AddArguments:
    """Forward pre-hook that adds residuals to a call's arguments."""

    def __init__(self, unet: nn.Module, on_call: OnCall) -> None:
        self._on_call = on_call
        self._names = argument_names(unet)
        self._skips = _skips(unet)
        # Residuals whose feature maps have not come yet, middle last.
        self._left: list[Tensor | None] = []

    def __call__(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        self.forget(module, args, None)  # left over from an interrupted call
        given = name_arguments(self._names, args, kwargs)
        x, timesteps, context, y = _pictures(
            require(given, "sample"),
            require(given, "timestep"),
            require(given, "encoder_hidden_states"),
            _vector(module, given),
        )
        found = self._on_call(x, timesteps, context, y)
        if found is None:
            return None
        skips, middle = self._fit_residuals(found, x)
        self._left = list(found.blocks)
        return with_changes(self._names, args, kwargs, _merge_arguments(given, skips, middle))

    def see(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Shows each feature map of the encoder, as it comes, to the X-ray."""
        features = cast(Any, output[1] if isinstance(output, tuple) else (output,))
        for feature in cast(Sequence[Tensor], features):
            block = len(self._skips) + 1 - len(self._left)
            residual = self._left.pop(0) if self._left else None
            if residual is not None:
                self._on_call.measure(block, feature, residual)

    def forget(self, module: nn.Module, args: tuple[Any, ...], output: object) -> None:
        """Drops every tensor of the call, even after an exception."""
        self._left = []

    def _fit_residuals(self, found: Residuals, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Returns the residuals in diffusers' form; it would truncate or broadcast what does not fit."""
        if len(found.skips) != len(self._skips):
            raise ValueError(
                f"The ControlNet gives {len(found.skips)} skip residuals, but the UNet has {len(self._skips)} skip "
                "connections: the two are of different families (SD1.x and SD2.x have 12, SDXL 9)."
            )
        zero = x.new_zeros(())  # for a block that gets nothing
        skips = [
            zero
            if residual is None
            else _fit_to_skip(residual, skip, x, f"skip connection {index}")
            for index, (residual, skip) in enumerate(zip(found.skips, self._skips, strict=True))
        ]
        if found.middle is None:
            return skips, zero
        return skips, _fit_to_skip(found.middle, self._skips[-1], x, "the middle")


def _pictures(
    x: Tensor, timesteps: Tensor | float, context: Tensor, y: Tensor | None
) -> tuple[Tensor, Tensor | float, Tensor, Tensor | None]:
    """Returns a call's inputs with each frame of a video (B, C, F, H, W) as a row, as UNetMotionModel computes it.

    AnimateDiff's pipelines give texts by frame already, other callers by video.
    """
    if x.dim() != 5:
        return x, timesteps, context, y
    videos, frames = len(x), x.shape[2]

    def by_frame(tensor: Tensor) -> Tensor:
        once = tensor.dim() > 0 and len(tensor) == videos
        return tensor.repeat_interleave(frames, dim=0) if once else tensor

    steps = by_frame(timesteps) if isinstance(timesteps, Tensor) else timesteps
    return (
        x.transpose(1, 2).flatten(0, 1),
        steps,
        by_frame(context),
        None if y is None else by_frame(y),
    )


def _fit_to_skip(residual: Tensor, skip: _Skip, x: Tensor, name: str) -> Tensor:
    """Returns a residual in the UNet's dtype; raises ValueError unless it has the shape of the feature map there."""
    height, width = x.shape[-2:]
    for _ in range(skip.level):
        height, width = (height + 1) // 2, (width + 1) // 2
    expected = x.new_zeros(()).expand(len(x), skip.channels, height, width)
    return fit_to_feature(residual, expected, name)


def _merge_arguments(
    given: dict[str, Any], skips: list[Tensor], middle: Tensor
) -> dict[str, object]:
    """Returns the arguments for residuals: the control's plus the caller's."""
    theirs, their_middle = given.get(SKIPS), given.get(MIDDLE)
    if theirs is not None and their_middle is None and given.get(INSIDE) is None:
        return {SKIPS: skips, MIDDLE: middle, INSIDE: list(theirs)}
    if theirs is not None:
        skips = [ours + their for ours, their in zip(skips, theirs, strict=True)]
    return {SKIPS: skips, MIDDLE: middle if their_middle is None else middle + their_middle}


def _vector(unet: nn.Module, given: dict[str, Any]) -> Tensor | None:
    """Returns SDXL's y (B, pooled text + 256 per number): the input of `add_embedding`, as get_aug_embed builds it."""
    if _config(unet, "addition_embed_type") is None:
        return None
    added = cast(dict[str, Any], require(given, "added_cond_kwargs"))
    pooled: Tensor = require(added, "text_embeds")
    numbers: Tensor = require(added, "time_ids")
    embedded = cast(nn.Module, unet.add_time_proj)(numbers.flatten())
    return torch.cat([pooled, embedded.reshape(len(pooled), -1).to(pooled.dtype)], dim=-1)


def _encoder(unet: nn.Module) -> list[nn.Module]:
    """Returns the modules whose outputs are the feature maps to which diffusers adds: conv-in, down blocks, middle."""
    middle = cast(nn.Module | None, getattr(unet, "mid_block", None))
    blocks = [unet.get_submodule("conv_in"), *unet.get_submodule("down_blocks").children()]
    return blocks if middle is None else [*blocks, middle]


def _skips(unet: nn.Module) -> list[_Skip]:
    """Returns what the encoder passes to the decoder: the conv-in, each ResNet, each downsampling."""
    conv_in = cast(nn.Conv2d, unet.get_submodule("conv_in"))
    skips = [_Skip(conv_in.out_channels, 0)]
    level = 0
    for block in unet.get_submodule("down_blocks").children():
        resnets = list(block.get_submodule("resnets").children())
        skips += [_Skip(cast(int, resnet.out_channels), level) for resnet in resnets]
        if getattr(block, "downsamplers", None) is not None:
            level += 1
            skips.append(_Skip(skips[-1].channels, level))
    return skips


def _config(unet: nn.Module, name: str) -> object:
    return getattr(getattr(unet, "config", None), name, None)
