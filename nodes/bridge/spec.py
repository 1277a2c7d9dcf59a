"""UnitSpec: what one ApplyControlNet node was told, before the size of the latents is known."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

import torch
from torch import Tensor

from ...cnet_core import BlockScales, ControlUnit, HintRouting, fit_hint
from ...cnet_core.controlnet import HINT_DOWNSCALE
from ...cnet_core.hints import Fit
from ...cnet_core.net import BlockLayout, Net
from .host_types import BaseModel, Patcher

#: The control type that leaves it open.
AUTO = "auto"


class Source(Protocol):
    """Where a run gets its Net from: a file of ours, or an object of ComfyUI's own loaders."""

    @property
    def hint_channels(self) -> int: ...

    @property
    def config(self) -> BlockLayout | None:
        """The shape of the net; None where it is made from the UNet itself when the run starts."""
        ...

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None:
        """Raises ValueError for a control type that the net does not know."""
        ...

    @property
    def key(self) -> str:
        """Equal for equal weights, so that one net in two nodes is loaded once."""
        ...

    @property
    def patchers(self) -> Sequence[Patcher]:
        """ComfyUI's ModelPatchers of the weights."""
        ...

    def open(self, base_model: BaseModel, loaded: Sequence[Patcher]) -> Net:
        """Returns the net for a run on `base_model`; its `close` ends the run.

        `loaded` are the patchers, or on a further GPU the copies of them that ComfyUI made for it.
        """
        ...

    def memory(self, rows: int, height: int, width: int, element: int) -> int:
        """Returns the bytes that a run needs beside the weights that ComfyUI counts itself."""
        ...


@dataclass(frozen=True)
class UnitSpec:
    """The inputs of one ApplyControlNet node; `unit` makes a ControlUnit for a size and a set of pictures."""

    source: Source
    image: Tensor  # (N, H, W, C), as ComfyUI keeps pictures
    strength: float
    start_percent: float
    end_percent: float
    routing: HintRouting
    scales: BlockScales
    mask: Tensor | None = None
    hint_fit: Fit = "crop"
    reuse_tolerance: float = 0.0
    control_type: str = AUTO

    @property
    def off(self) -> bool:
        """Whether it does nothing at any step."""
        return self.strength == 0 or self.start_percent > self.end_percent

    @property
    def needs_branches(self) -> bool:
        """Whether cond and uncond rows get different gains."""
        routing = self.routing
        return routing.target is not None or routing.cond != routing.uncond

    def unit(self, net: Net, height: int, width: int, frames: Sequence[int]) -> ControlUnit:
        """Returns the unit for latents of `height` x `width`; `frames` says which picture each of them is.

        Hints and masks of another number are repeated or cut off, as ComfyUI does it.
        """
        size = (HINT_DOWNSCALE * height, HINT_DOWNSCALE * width)
        return ControlUnit(
            net,
            fit_hint(matched(self.hint(net.hint_channels), frames), *size, self.hint_fit),
            strength=self.strength,
            routing=self.routing,
            scales=self.scales,
            start_percent=self.start_percent,
            end_percent=self.end_percent,
            mask=None if self.mask is None else matched(_stacked(self.mask), frames),
            control_types=None if self.control_type == AUTO else (self.control_type,),
            reuse_tolerance=self.reuse_tolerance,
        )

    def hint(self, channels: int) -> Tensor:
        """Returns the image as (N, C, H, W) with the channels that the net takes: no alpha, grey as RGB."""
        hint = self.image.movedim(-1, 1)
        if hint.shape[1] == 1 and channels > 1:
            hint = hint.expand(-1, channels, -1, -1)
        return hint[:, :channels]


def checked(spec: UnitSpec) -> UnitSpec:
    """Returns the spec if it can be used.

    Raises:
        ValueError: an empty or non-finite picture, percents outside 0..1, a mask of a wrong shape, and all else
            that a ControlUnit refuses.
    """
    if spec.image.dim() != 4 or 0 in spec.image.shape:
        raise ValueError(
            f"`image` has the shape {tuple(spec.image.shape)}: it holds no pixels. Connect a picture."
        )
    if not bool(torch.isfinite(spec.image).all()):
        raise ValueError(
            "`image` holds NaN or infinite values; the node that made the picture is at fault."
        )
    # A start after the end is no control, as in ComfyUI; a unit would refuse it.
    start, end = sorted((spec.start_percent, spec.end_percent))
    unasked = cast(Net, _HintOnly(spec.source))  # a unit asks for no more when it is made
    replace(spec, start_percent=start, end_percent=end).unit(unasked, 8, 8, [0])
    return spec


def matched(pictures: Tensor, frames: Sequence[int]) -> Tensor:
    """Returns one of `pictures` (N, ...) for each frame, starting again after the last; a single one stays single."""
    if len(pictures) == 1:
        return pictures
    return pictures[torch.tensor([frame % len(pictures) for frame in frames])]


def _stacked(mask: Tensor) -> Tensor:
    return mask if mask.dim() == 3 else mask.reshape(-1, *mask.shape[-2:])


class _HintOnly:
    """Stands in for a net that is not there yet, where only the hint is checked."""

    def __init__(self, source: Source) -> None:
        self.hint_channels = source.hint_channels
        self.check_types = source.check_types
