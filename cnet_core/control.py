"""ControlUnit and ControlStack: one UNet call in, one Residuals out. The heart of the library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import cast

import torch
from torch import Tensor

from .config import UNetConfig
from .hints import latent_size
from .net import Net, is_pooled, weights_version
from .residuals import Residuals
from .routing import Branch, HintRouting
from .rows import Row
from .schedules import BlockScales
from .weighting import POOL_FIRST, Order, check_order, mask_mode, resized_mask, weigh
from .windows import Step, Window

#: The last training timestep of Stable Diffusion: percent 0 of a run.
LAST_TIMESTEP = 999


@dataclass(frozen=True)
class ControlUnit:
    """One ControlNet with its hint and all that says how much of it goes where and when.

    Args:
        net: the ControlNet.
        hint: (N, C, 8H, 8W), 0..1 (-1 where an inpaint hint is masked); N is 1 or the number of pictures.
            For a Union ControlNet also a tuple of them, one for each of `control_types`.
        strength: the user's one number; 0 switches the unit off.
        routing: which branch of classifier-free guidance gets it.
        scales: how much each block gets.
        start_percent, end_percent: the part of the run with control, 0..1 of training time; where both are equal,
            that moment alone.
        mask: where it acts, (H, W) or (N, H, W), 0..1, any size.
        reuse_tolerance: 0; more is refused, as residuals are computed at every step.
        control_types: what the hints are, for Union ControlNets; None leaves it open.
        window: how the two percents are read; a profile may count sampling steps instead.
        order: what comes first of pooling, scaling and masking.
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
        if self.reuse_tolerance:
            raise ValueError(
                "`reuse_tolerance` above 0 is not available: residuals are computed at every step."
            )

    @property
    def hints(self) -> tuple[Tensor, ...]:
        """Its hints: one, or one for each of `control_types`."""
        return self.hint if isinstance(self.hint, tuple) else (self.hint,)

    def factor(self, percent: float, step: Step | None = None) -> float:
        """Returns strength x time curve at `percent` of the run; 0 outside the window."""
        on = self.window.active(self.start_percent, self.end_percent, percent, step)
        return self.strength * self.scales.at(percent) if on else 0.0


@dataclass(frozen=True)
class UNetCall:
    """The arguments of one call of a UNet, and what each of its rows is."""

    x: Tensor  # (B, C, H, W); nets of fewer channels read the first: the latents, before an inpaint model's mask
    timesteps: Tensor  # (B,)
    context: Tensor  # (B, tokens, context_dim)
    y: Tensor | None
    rows: tuple[Row, ...]  # B of them
    cfg_scale: float | None = None
    known_percents: tuple[float, ...] | None = None  # by row, from hosts that count otherwise
    step: Step | None = None  # for windows that count sampling steps
    guided: bool | None = (
        None  # whether the run has uncond rows, maybe in another call; None: see rows
    )

    @cached_property
    def percents(self) -> tuple[float, ...]:
        """How far the run is, by row: 1 - t/999 of plain Stable Diffusion unless the host said it."""
        if self.known_percents is not None:
            return self.known_percents
        timesteps = cast(list[float], self.timesteps.tolist())
        return tuple(1 - t / LAST_TIMESTEP for t in timesteps)

    @property
    def pictures(self) -> int:
        """How many pictures are being made."""
        return max(row.picture for row in self.rows) + 1


@dataclass
class Counts:
    """What was computed, for reports and tests."""

    hint_encodings: int = 0
    evaluations: int = 0
    rows: int = 0

    def add(self, other: "Counts") -> None:
        """Adds another's numbers to these."""
        self.hint_encodings += other.hint_encodings
        self.evaluations += other.evaluations
        self.rows += other.rows


class ControlStack:
    """The units on one UNet. Keeps hint features and masks between steps; `clear()` drops them."""

    def __init__(self, units: Sequence[ControlUnit]) -> None:
        self.units = tuple(units)
        self.counts = Counts()
        self._features: dict[tuple[object, ...], tuple[int, Tensor]] = {}
        self._masks: dict[tuple[object, ...], Tensor] = {}

    def clear(self) -> None:
        """Drops what was kept between steps."""
        self._features.clear()
        self._masks.clear()

    def residuals(self, call: UNetCall) -> Residuals | None:
        """Returns the sum over the units for all rows of the call; None where no unit acts."""
        total: Residuals | None = None
        for index in range(len(self.units)):
            part = self._unit_residuals(index, call)
            if part is not None:
                total = part if total is None else total + part
        return total

    def _unit_residuals(self, index: int, call: UNetCall) -> Residuals | None:
        unit = self.units[index]
        gains = row_gains(unit, call)
        wanted = [row for row, gain in enumerate(gains) if gain != 0]
        scales = unit.scales.values(unit.net.config.block_sizes(call.x.shape[-2], call.x.shape[-1]))
        if not wanted or not any(scales):
            return None
        _check_call(unit, call)
        found = self._evaluate(index, call, wanted, scales)
        pictures = [call.rows[row].picture for row in wanted]
        wanted_gains = [gains[row] for row in wanted]
        weighted = [
            None if block is None else self._weight(index, block, wanted_gains, pictures)
            for block in found.blocks
        ]
        return Residuals.of(weighted).scatter(wanted, len(gains))

    def _evaluate(
        self, index: int, call: UNetCall, wanted: list[int], scales: Sequence[float]
    ) -> Residuals:
        net = self.units[index].net
        features = self._hint_features(index, call)
        if len(features) > 1:
            features = features[
                torch.tensor([call.rows[row].picture for row in wanted], device=features.device)
            ]
        self.counts.evaluations += 1
        self.counts.rows += len(wanted)
        dtype = net.dtype
        return net.residuals(
            _take(call.x[:, : net.config.in_channels], wanted).to(dtype),
            features,
            _take(call.timesteps, wanted),
            _take(call.context, wanted).to(dtype),
            None if call.y is None else _take(call.y, wanted).to(dtype),
            scales,
            **_types(self.units[index]),
        )

    def _hint_features(self, index: int, call: UNetCall) -> Tensor:
        unit = self.units[index]
        key = (index, unit.net.dtype, call.x.device, *_autograd_mode())
        version = weights_version(unit.net)
        if key in self._features and self._features[key][0] == version:
            return self._features[key][1]
        self.counts.hint_encodings += 1
        hints = tuple(hint.to(call.x.device, unit.net.dtype) for hint in unit.hints)
        hint = hints[0] if len(hints) == 1 else hints
        features = unit.net.hint_features(hint, **_types(unit))
        if not features.requires_grad:  # a graph serves one backward pass, then the weights change
            self._features[key] = version, features
        return features

    def _weight(self, index: int, block: Tensor, gains: list[float], pictures: list[int]) -> Tensor:
        """Returns the block's residual times gain by row and mask by pixel, pooled if the net is pooled."""
        unit = self.units[index]
        mask = None if unit.mask is None else self._mask(index, unit.mask, block)
        if mask is not None and len(mask) > 1:
            mask = mask[torch.tensor(pictures, device=mask.device)]
        return weigh(block, unit.order, gains, mask, is_pooled(unit.net))

    def _mask(self, index: int, mask: Tensor, like: Tensor) -> Tensor:
        """Returns the unit's mask (N, 1, h, w) at a block's size."""
        key = (index, like.shape[-2:], like.dtype, like.device, *_autograd_mode())
        if key not in self._masks:
            self._masks[key] = resized_mask(mask, like, mask_mode(self.units[index].order))
        return self._masks[key]


def row_gains(unit: ControlUnit, call: UNetCall) -> tuple[float, ...]:
    """Returns by how much each row's residuals are multiplied: strength x window x time curve x routing."""
    branches: list[Branch] = [row.branch for row in call.rows]
    gains = unit.routing.gains(branches, call.cfg_scale, guided=call.guided)
    whole_run = unit.start_percent <= 0 and unit.end_percent >= 1 and not unit.scales.curve
    percents = (0.0,) * len(gains) if whole_run else call.percents
    return tuple(
        gain * unit.factor(percent, call.step)
        for gain, percent in zip(gains, percents, strict=True)
    )


def _autograd_mode() -> tuple[bool, bool]:
    """What is kept under one mode must not serve another: it would lack a graph, or could not be in one."""
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled()


def _check_call(unit: ControlUnit, call: UNetCall) -> None:
    """Raises ValueError when a unit does not fit the call: size of the hint, pictures, family."""
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
                f"`{name}` has {count} pictures, but {call.pictures} are being made; give 1 or as many."
            )
    _check_family(unit.net.config, call)


def _check_family(config: UNetConfig, call: UNetCall) -> None:
    width = call.context.shape[-1]
    if width != config.context_dim:
        raise ValueError(
            f"The UNet's text embeddings are {width} wide, but the ControlNet takes {config.context_dim} "
            "(SD1.x 768, SD2.x 1024, SDXL 2048): the two are of different families."
        )
    if call.x.shape[1] < config.in_channels:
        raise ValueError(
            f"The latents have {call.x.shape[1]} channels, but the ControlNet takes {config.in_channels}: it is one "
            "for inpainting UNets, which have 9."
        )


def _check_hint(hint: Tensor, channels: int) -> None:
    if hint.dim() != 4 or hint.shape[1] != channels:
        raise ValueError(
            f"`hint` has the shape {tuple(hint.shape)}; this ControlNet takes (N, {channels}, 8H, 8W)."
        )
    latent_size(hint)
    if not bool(torch.isfinite(hint).all()):
        raise ValueError("`hint` holds NaN or infinite values; it must be a picture in 0..1.")


def _check_mask(mask: Tensor) -> None:
    if mask.dim() not in (2, 3):
        raise ValueError(
            f"`mask` has the shape {tuple(mask.shape)}; it must be (H, W) or (N, H, W)."
        )
    if not bool(torch.isfinite(mask).all()):
        raise ValueError("`mask` holds NaN or infinite values; it must lie in 0..1.")


def _types(unit: ControlUnit) -> dict[str, Sequence[str]]:
    """The argument that only Union ControlNets take."""
    return {} if unit.control_types is None else {"control_types": unit.control_types}


def _pictures(mask: Tensor | None) -> int:
    return 1 if mask is None or mask.dim() == 2 else len(mask)


def _take(tensor: Tensor, rows: list[int]) -> Tensor:
    """Returns some rows; a view where they are neighbours."""
    if len(rows) == len(tensor):
        return tensor
    if rows[-1] - rows[0] + 1 == len(rows):
        return tensor[rows[0] : rows[-1] + 1]
    return tensor[torch.tensor(rows, device=tensor.device)]
