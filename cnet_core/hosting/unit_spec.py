"""UnitSpec: the settings of one control, before the size of the latents is known."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch
from torch import Tensor

from ..control.frame_strengths import FrameStrengths
from ..control.hints import Fit, fit_hint
from ..control.net import Net
from ..control.routing import HintRouting
from ..control.scales import BlockScales
from ..control.unit import ControlUnit
from ..control.windows import Window
from ..nets.controlnet import HINT_DOWNSCALE
from .source import NetSource

#: The control type for hints of an unspecified type.
AUTO = "auto"


@dataclass(frozen=True)
class UnitSpec:
    """The settings of one control; `unit` makes a ControlUnit for a latent size and a set of pictures."""

    source: NetSource
    image: Tensor  # (N, H, W, C), 0..1, as ComfyUI keeps pictures
    strength: float
    start_percent: float
    end_percent: float
    routing: HintRouting
    scales: BlockScales
    mask: Tensor | None = None
    hint_fit: Fit = "crop"
    reuse_tolerance: float = 0.0
    control_type: str = AUTO
    window: Window = field(default_factory=Window.training)
    by_row: bool = (
        False  # whether `image` has an entry for each row of a call, not for each picture
    )
    masked: bool = False  # whether the mask is the last channel of `image`, which is fitted with it; `mask` is None
    frame_strengths: FrameStrengths | None = None

    @property
    def key(self) -> Hashable:
        """Equal for specs with the same weights, tensors and settings; callers that keep it must keep the spec, too."""
        tensors = (_view_key(self.image), None if self.mask is None else _view_key(self.mask))
        times = (self.strength, self.start_percent, self.end_percent, self.window)
        others = (self.routing, self.scales, self.hint_fit, self.reuse_tolerance, self.control_type)
        rest = (self.by_row, self.masked, self.frame_strengths)
        return (self.source.key, *tensors, *times, *others, *rest)

    @property
    def off(self) -> bool:
        """Whether it does nothing at any step."""
        return self.strength == 0 or self.start_percent > self.end_percent

    @property
    def needs_branches(self) -> bool:
        """Whether cond and uncond rows get different gains at any time."""
        return self.routing.needs_branches

    def unit(
        self,
        net: Net,
        height: int,
        width: int,
        frames: Sequence[int],
        shown: Sequence[int] | None = None,
    ) -> ControlUnit:
        """Returns the unit for latents of `height` x `width`.

        Args:
            net: of the unit.
            height, width: of the latents.
            frames: which hint each picture of the call has; other numbers of hints and masks are repeated or
                truncated, as in ComfyUI.
            shown: which picture of the whole batch each of them is, for `frame_strengths`; None: `frames`.
        """
        size = (HINT_DOWNSCALE * height, HINT_DOWNSCALE * width)

        def fit(pictures: Tensor) -> Tensor:
            return fit_hint(pick_frames(pictures, frames), *size, self.hint_fit)

        mask = None if self.mask is None else pick_frames(_stack_masks(self.mask), frames)
        if self.masked:
            mask = fit(self.image[..., -1:].movedim(-1, 1))[:, 0]
        if self.frame_strengths is not None:
            mask = self.frame_strengths.weigh_masks(mask, frames if shown is None else shown)
        return ControlUnit(
            net,
            fit(self.hint(net.hint_channels)),
            strength=self.strength,
            routing=self.routing,
            scales=self.scales,
            start_percent=self.start_percent,
            end_percent=self.end_percent,
            mask=mask,
            control_types=None if self.control_type == AUTO else (self.control_type,),
            reuse_tolerance=self.reuse_tolerance,
            window=self.window,
        )

    def hint(self, channels: int) -> Tensor:
        """Returns the image as (N, C, H, W) with the channels that the net takes: no alpha, grey as RGB."""
        # A copy in the layout of a picture without mask, since kernels round by layout.
        image = self.image[..., :-1].contiguous() if self.masked else self.image
        hint = image.movedim(-1, 1)
        if hint.shape[1] == 1 and channels > 1:
            hint = hint.expand(-1, channels, -1, -1)
        return hint[:, :channels]


def check_spec(spec: UnitSpec) -> None:
    """Raises unless the spec can be used.

    Raises:
        ValueError: an empty or non-finite picture, percents outside 0..1, a mask of a wrong shape, and anything else
            that a ControlUnit refuses.
    """
    image = spec.image[..., :-1] if spec.masked else spec.image
    _check_image(image, spec.source.hint_channels)
    if spec.mask is not None and 0 in spec.mask.shape:
        raise ValueError(
            f"`mask` has the shape {tuple(spec.mask.shape)}: it holds no pixels. Connect a mask, or none."
        )
    # A start after the end means no control, as in ComfyUI; a unit would refuse it.
    start, end = sorted((spec.start_percent, spec.end_percent))
    unasked = cast(Net, _HintOnly(spec.source))  # a new unit needs nothing else
    replace(spec, start_percent=start, end_percent=end).unit(unasked, 8, 8, [0])


def _check_image(image: Tensor, channels: int) -> None:
    shape = tuple(image.shape)
    if 0 in shape:
        raise ValueError(f"`image` has the shape {shape}: it holds no pixels. Connect a picture.")
    if image.dim() != 4:
        raise ValueError(
            f"`image` has the shape {shape}; it must be (pictures, height, width, channels)."
        )
    if shape[-1] < channels and shape[-1] != 1:
        raise ValueError(
            f"`image` has {shape[-1]} channels; this ControlNet takes {channels}. Connect a picture with {channels}."
        )
    if not bool(torch.isfinite(image).all()):
        raise ValueError(
            "`image` holds NaN or infinite values; check the node that makes the picture."
        )


def pick_frames(pictures: Tensor, frames: Sequence[int]) -> Tensor:
    """Returns one of `pictures` (N, ...) for each frame, repeating them cyclically; a single one stays single."""
    if len(pictures) == 1:
        return pictures
    return pictures[torch.tensor([frame % len(pictures) for frame in frames])]


def _view_key(tensor: Tensor) -> Hashable:
    """Returns what is equal for views of the same numbers, as long as one of them lives."""
    return (tensor.device, tensor.dtype, tensor.data_ptr(), tensor.shape, tensor.stride())


def _stack_masks(mask: Tensor) -> Tensor:
    return mask if mask.dim() == 3 else mask.reshape(-1, *mask.shape[-2:])


class _HintOnly:
    """Replaces a net that does not exist yet, to check only the hint."""

    def __init__(self, source: NetSource) -> None:
        self.hint_channels = source.hint_channels
        self.check_types = source.check_types
