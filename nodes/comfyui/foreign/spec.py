"""ForeignSpec: the settings of one foreign control net on a MODEL."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ....cnet_core import BlockScales, FrameStrengths, HintRouting
from ....cnet_core.control.hints import Fit, fit_hint
from ....cnet_core.control.scales import check_count
from ....cnet_core.control.windows import Window
from ....cnet_core.hosting import AUTO
from ....cnet_core.hosting.unit_spec import pick_frames
from ..host_types import Patcher
from ..patcher import allow_copies_
from .accept import check_accepted, inner_model
from .blocks import own_block_count

NO_INPAINT_MASK = (
    "`inpaint_mask` is for inpainting ControlNets that read a mask, which this one does not: disconnect it. Use `mask` "
    "to say where control acts."
)

NO_TYPES = (
    "`control_type` is {!r}, but its list is that of Union ControlNets for Stable Diffusion. Set it to auto; for this "
    "ControlNet use ComfyUI's SetUnionControlNetType node."
)


class ForeignSource:
    """A foreign control net, and what ComfyUI loads with the model for it."""

    def __init__(self, control: Any) -> None:
        self.control = control
        self.key = f"{id(inner_model(control))} {control.extra_args}"
        self.patchers: Sequence[Patcher] = [allow_copies_(p.clone()) for p in control.get_models()]

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes that a run needs besides the weights, as ComfyUI counts them."""
        return self.control.inference_memory_requirements(torch.float32)


@dataclass(frozen=True)
class ForeignSpec:
    """The settings of one foreign control net, as UnitSpec has those of ours."""

    source: ForeignSource
    image: Tensor  # (N, H, W, C), 0..1
    strength: float
    start_percent: float
    end_percent: float
    routing: HintRouting
    scales: BlockScales
    mask: Tensor | None = None
    hint_fit: Fit = "crop"
    reuse_tolerance: float = 0.0
    vae: Any = None
    inpaint_mask: Tensor | None = None
    window: Window = field(default_factory=Window.training)
    frame_strengths: FrameStrengths | None = None

    @property
    def key(self) -> Hashable:
        """Which control at work it is: a spec is one, whatever it shares with others."""
        return id(self)

    @property
    def off(self) -> bool:
        """Whether it does nothing at any step."""
        return self.strength == 0 or self.start_percent > self.end_percent

    @property
    def needs_branches(self) -> bool:
        """Whether cond and uncond rows get different gains."""
        return self.routing.needs_branches

    def hint(self, frames: Sequence[int], height: int, width: int) -> Tensor:
        """Returns the pictures (N, C, H, W) for some frames; `crop` leaves size and cutting to the control net."""
        hint = pick_frames(self.image.movedim(-1, 1), frames)[:, :3]
        if hint.shape[1] == 1:
            hint = hint.expand(-1, 3, -1, -1)
        if self.inpaint_mask is not None:
            hint = hint * _keep_mask(self.inpaint_mask, hint, frames)
        return hint if self.hint_fit == "crop" else fit_hint(hint, height, width, self.hint_fit)

    def masks(self, frames: Sequence[int]) -> Tensor | None:
        """Returns what the residuals of some frames are multiplied by: (N, H, W) or (1, H, W); None for all."""
        mask = None if self.mask is None else pick_frames(_channel(self.mask)[:, 0], frames)
        if self.frame_strengths is None:
            return mask
        return self.frame_strengths.weigh_masks(mask, frames)

    def extra_concat(self, frames: Sequence[int], height: int, width: int) -> list[Tensor]:
        """Returns what inpainting nets read with the hint: 1 where the picture is kept, (N, 1, H, W), fitted as it."""
        if self.inpaint_mask is None:
            return []
        mask = pick_frames(_channel(self.inpaint_mask), frames)
        if self.hint_fit != "crop":
            mask = fit_hint(mask, height, width, self.hint_fit)
        return [1.0 - mask]


def foreign_spec(
    control_net: Any,
    image: Tensor,
    *,
    control_type: str = AUTO,
    inpaint_mask: Tensor | None = None,
    **settings: Any,
) -> ForeignSpec:
    """Returns the checked settings of a foreign control net.

    Raises:
        TypeError: another pack's kind that its own nodes must apply.
        ValueError: the net needs an input that is missing, or cannot use one that is there.
    """
    check_accepted(control_net)
    if control_type != AUTO:
        raise ValueError(NO_TYPES.format(control_type))
    spec = ForeignSpec(ForeignSource(control_net), image, inpaint_mask=inpaint_mask, **settings)
    _check_picture("image", image, 4)
    _check_needs(control_net, spec)
    blocks = own_block_count(control_net)
    if blocks is not None and spec.scales.numbers:
        check_count(len(spec.scales.numbers), blocks)
    return spec


def _check_needs(control_net: Any, spec: ForeignSpec) -> None:
    if control_net.latent_format is not None and spec.vae is None:
        raise ValueError(
            "`vae` is missing: this ControlNet reads the picture as latents. Connect the VAE of the model."
        )
    if control_net.concat_mask and spec.inpaint_mask is None:
        raise ValueError(
            "`inpaint_mask` is missing: this ControlNet is for inpainting. Connect a mask, white where to paint."
        )
    if spec.inpaint_mask is not None:
        if not control_net.concat_mask:
            raise ValueError(NO_INPAINT_MASK)
        _check_picture("inpaint_mask", spec.inpaint_mask, 3)
    if spec.mask is not None:
        _check_picture("mask", spec.mask, 3)


def _check_picture(name: str, picture: Tensor, dimensions: int) -> None:
    shape = tuple(picture.shape)
    if 0 in shape or picture.dim() not in (dimensions, dimensions - 1 if dimensions == 3 else 4):
        raise ValueError(
            f"`{name}` has the shape {shape}, which is no picture. Connect another one."
        )
    if not bool(torch.isfinite(picture).all()):
        raise ValueError(
            f"`{name}` holds NaN or infinite values; the node that made it is at fault."
        )


def _channel(mask: Tensor) -> Tensor:
    return mask.reshape(-1, 1, *mask.shape[-2:])


def _keep_mask(mask: Tensor, hint: Tensor, frames: Sequence[int]) -> Tensor:
    """Returns 1 where the picture stays, 0 where it is painted over, as ComfyUI's own inpainting node does."""
    kept = 1.0 - pick_frames(_channel(mask), frames)
    size = (hint.shape[3], hint.shape[2])
    return comfy.utils.common_upscale(kept, *size, "bilinear", "center").round()
