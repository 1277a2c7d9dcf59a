"""ControlUnit: one ControlNet with its hint, and how much control goes where and when."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .call import UNetCall
from .hints import latent_size
from .net import BlockLayout, Net
from .routing import HintRouting
from .scales import BlockScales
from .weighting import POOL_FIRST, Order, check_order
from .windows import Window

#: Hints and masks are in 0..1; resizing moves some values slightly beyond, and inpaint hints have -1.
MOST_VALUE = 2.0


@dataclass(frozen=True)
class ControlUnit:
    """One ControlNet with its hint, and how much control goes where and when.

    Args:
        net: the ControlNet.
        hint: (N, C, 8H, 8W), 0..1 (-1 where an inpaint hint is masked); N is 1 or the number of pictures.
            For a Union ControlNet also a tuple of them, one for each of `control_types`.
        strength: the user's one number; 0 switches the unit off.
        routing: which branch of classifier-free guidance gets it.
        scales: how much each block gets.
        start_percent, end_percent: the part of the run with control, 0..1 of training time; if both are equal,
            only that moment.
        mask: where it acts, (H, W) or (N, H, W), 0..1, any size.
        reuse_tolerance: residuals are reused while the latents have moved by at most this fraction of their norm since
            they were computed; 0 computes them at every step, 0.2 saves half of 20 steps (docs/speed.md).
        control_types: the types of the hints, for Union ControlNets; None: unspecified.
        window: how to read the two percents; a profile may count sampling steps instead.
        order: the order of pooling, scaling and masking.
    """

    net: Net
    hint: Tensor | tuple[Tensor, ...]
    strength: float = 1.0
    routing: HintRouting = field(default_factory=HintRouting.both)
    scales: BlockScales = field(default_factory=BlockScales.uniform)
    start_percent: float = 0.0
    end_percent: float = 1.0
    mask: Tensor | None = None
    control_types: Sequence[str] | None = None
    reuse_tolerance: float = 0.0
    window: Window = field(default_factory=Window.training)
    order: Order = POOL_FIRST

    def __post_init__(self) -> None:
        for hint in self.hints:
            _check_hint(hint, self.net.hint_channels)
        if self.control_types is not None or len(self.hints) != 1:
            self.net.check_types(len(self.hints), self.control_types)
        if not 0 <= self.start_percent <= self.end_percent <= 1:
            raise ValueError(
                f"`start_percent` ({self.start_percent}) and `end_percent` ({self.end_percent}) must lie in 0..1, "
                "the start no later than the end."
            )
        if not math.isfinite(self.strength):
            raise ValueError(f"`strength` is {self.strength}; it must be a finite number.")
        if self.mask is not None:
            _check_mask(self.mask)
        check_order(self.order)
        if not 0 <= self.reuse_tolerance < math.inf:
            raise ValueError(
                f"`reuse_tolerance` is {self.reuse_tolerance}; it must be 0 (no reuse) or a fraction such as 0.2."
            )

    @property
    def hints(self) -> tuple[Tensor, ...]:
        """Its hints: one, or one for each of `control_types`."""
        return self.hint if isinstance(self.hint, tuple) else (self.hint,)


def check_fits(unit: ControlUnit, call: UNetCall) -> None:
    """Raises ValueError if a unit does not fit the call: size of the hint, pictures, family."""
    need = call.x.shape[-2:]
    for have in map(latent_size, unit.hints):
        if have != tuple(need):
            raise ValueError(
                f"The hint is {8 * have[1]} x {8 * have[0]} pixels, but the latents need {8 * need[1]} x "
                f"{8 * need[0]}; resize it with cnet_core.fit_hint."
            )
    hints = [("hint", len(hint)) for hint in unit.hints]
    for name, count in (*hints, ("mask", _pictures(unit.mask))):
        if count not in (1, call.pictures):
            raise ValueError(
                f"`{name}` has {count} pictures, but the batch has {call.pictures}; give 1 or {call.pictures}."
            )
    _check_family(unit.net.config, call)


def _check_family(config: BlockLayout, call: UNetCall) -> None:
    width = call.context.shape[-1]
    if width != config.context_dim:
        raise ValueError(
            f"The UNet's text embeddings are {width} wide, but the ControlNet takes {config.context_dim} "
            "(SD1.x 768, SD2.x 1024, SDXL 2048): the two are of different families."
        )
    if call.x.shape[1] < config.in_channels:
        raise ValueError(
            f"The latents have {call.x.shape[1]} channels, but the ControlNet takes {config.in_channels}: it is made "
            "for inpainting UNets, which have 9."
        )


def _check_hint(hint: Tensor, channels: int) -> None:
    if hint.dim() != 4 or hint.shape[1] != channels:
        raise ValueError(
            f"`hint` has the shape {tuple(hint.shape)}; this ControlNet takes (N, {channels}, 8H, 8W)."
        )
    latent_size(hint)
    _check_values("hint", hint)


def _check_mask(mask: Tensor) -> None:
    if mask.dim() not in (2, 3):
        raise ValueError(
            f"`mask` has the shape {tuple(mask.shape)}; it must be (H, W) or (N, H, W)."
        )
    _check_values("mask", mask)


def _check_values(name: str, tensor: Tensor) -> None:
    """Raises ValueError for values that are too far outside 0..1 to come from resizing."""
    most = float(tensor.float().abs().amax()) if tensor.numel() else 0.0
    if not math.isfinite(most):
        raise ValueError(f"`{name}` holds NaN or infinite values; its values must lie in 0..1.")
    if most > MOST_VALUE:
        raise ValueError(
            f"`{name}` has values up to {most:g}; they must lie in 0..1: divide those of 8 bits by 255."
        )


def _pictures(mask: Tensor | None) -> int:
    return 1 if mask is None or mask.dim() == 2 else len(mask)
