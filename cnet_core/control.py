"""ControlUnit and ControlStack: one UNet call in, one Residuals out. The heart of the library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import UNetConfig
from .hints import latent_size
from .residuals import Residuals
from .routing import Branch, HintRouting
from .schedules import BlockScales

#: The last training timestep of Stable Diffusion: percent 0 of a run.
LAST_TIMESTEP = 999


class Net(Protocol):
    """What a ControlUnit needs of a ControlNet; `cnet_core.ControlNet` is one."""

    config: UNetConfig
    hint_channels: int

    @property
    def dtype(self) -> torch.dtype: ...

    def check_types(self, hints: int, control_types: Sequence[str] | None) -> None: ...

    def hint_features(
        self, hint: Tensor | tuple[Tensor, ...], control_types: Sequence[str] | None = None
    ) -> Tensor: ...

    def residuals(
        self,
        x: Tensor,
        features: Tensor,
        timesteps: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        scales: Sequence[float] | None = None,
        *,
        control_types: Sequence[str] | None = None,
    ) -> Residuals: ...


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
        start_percent, end_percent: the part of the run with control, 0..1 of training time.
        mask: where it acts, (H, W) or (N, H, W), 0..1, any size.
        control_types: what the hints are, for Union ControlNets; None leaves it open.
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

    def __post_init__(self) -> None:
        for hint in self.hints:
            _check_hint(hint, self.net.hint_channels)
        if self.control_types is not None or len(self.hints) != 1:
            self.net.check_types(len(self.hints), self.control_types)
        if not 0 <= self.start_percent <= 1 or not 0 <= self.end_percent <= 1:
            raise ValueError(
                f"`start_percent` ({self.start_percent}) and `end_percent` ({self.end_percent}) must lie in 0..1."
            )
        if not math.isfinite(self.strength):
            raise ValueError(f"`strength` is {self.strength}; it must be a finite number.")
        if self.mask is not None and self.mask.dim() not in (2, 3):
            raise ValueError(
                f"`mask` has the shape {tuple(self.mask.shape)}; it must be (H, W) or (N, H, W)."
            )
        if self.reuse_tolerance:
            raise ValueError(
                "`reuse_tolerance` above 0 is not available: residuals are computed at every step."
            )

    @property
    def hints(self) -> tuple[Tensor, ...]:
        """Its hints: one, or one for each of `control_types`."""
        return self.hint if isinstance(self.hint, tuple) else (self.hint,)

    def factor(self, percent: float) -> float:
        """Returns strength x time curve at `percent` of the run; 0 outside the window.

        The window is ComfyUI's: both ends in, 0 and 1 never cut anything off.
        """
        started = self.start_percent <= 0 or percent >= self.start_percent
        ended = self.end_percent < 1 and percent > self.end_percent
        return self.strength * self.scales.at(percent) if started and not ended else 0.0


@dataclass(frozen=True)
class Row:
    """One row of a UNet batch: its branch of guidance, and which picture of the batch it belongs to."""

    branch: Branch
    picture: int


@dataclass(frozen=True)
class UNetCall:
    """The arguments of one call of a UNet, and what each of its rows is."""

    x: Tensor  # (B, C, H, W)
    timesteps: Tensor  # (B,)
    context: Tensor  # (B, tokens, context_dim)
    y: Tensor | None
    rows: tuple[Row, ...]  # B of them
    cfg_scale: float | None = None
    known_percents: tuple[float, ...] | None = None  # by row, from hosts that count otherwise
    guided: bool | None = (
        None  # whether the run has uncond rows, which another call may hold; None = see rows
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


def rows_of(branches: Sequence[Branch], batch: int) -> tuple[Row, ...]:
    """Returns the rows of a batch that holds one chunk of pictures per branch, in order.

    Raises:
        ValueError: the batch cannot be cut into that many chunks.
    """
    if not branches or batch % len(branches):
        raise ValueError(
            f"The UNet was called with {batch} rows, which cannot be cut into {len(branches)} equal parts "
            f"{tuple(branches)}: say in `rows` which branches the batch holds, for example ('cond',) without guidance."
        )
    count = batch // len(branches)
    return tuple(Row(branch, picture) for branch in branches for picture in range(count))


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
        self._features: dict[tuple[object, ...], Tensor] = {}
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
        masks = None if unit.mask is None else [call.rows[row].picture for row in wanted]
        weighted = [
            None
            if block is None
            else self._weight(index, block, [gains[row] for row in wanted], masks)
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
            _take(call.x, wanted).to(dtype),
            features,
            _take(call.timesteps, wanted),
            _take(call.context, wanted).to(dtype),
            None if call.y is None else _take(call.y, wanted).to(dtype),
            scales,
            **_types(self.units[index]),
        )

    def _hint_features(self, index: int, call: UNetCall) -> Tensor:
        unit = self.units[index]
        key = (index, unit.net.dtype, call.x.device, torch.is_grad_enabled())
        if key not in self._features:
            self.counts.hint_encodings += 1
            hints = tuple(hint.to(call.x.device, unit.net.dtype) for hint in unit.hints)
            hint = hints[0] if len(hints) == 1 else hints
            self._features[key] = unit.net.hint_features(hint, **_types(unit))
        return self._features[key]

    def _weight(
        self, index: int, block: Tensor, gains: list[float], pictures: list[int] | None
    ) -> Tensor:
        """Returns the block's residual times gain by row and mask by pixel."""
        if len(set(gains)) == 1:
            weighted = block if gains[0] == 1 else block * gains[0]
        else:
            weighted = (
                block
                * torch.tensor(gains, dtype=block.dtype, device=block.device)[:, None, None, None]
            )
        if pictures is None:
            return weighted
        mask = self._mask(index, block)
        return weighted * (
            mask if len(mask) == 1 else mask[torch.tensor(pictures, device=mask.device)]
        )

    def _mask(self, index: int, like: Tensor) -> Tensor:
        """Returns the unit's mask (N, 1, h, w) averaged down to a block's size."""
        key = (index, like.shape[-2:], like.dtype, like.device)
        if key not in self._masks:
            mask = self.units[index].mask
            assert mask is not None  # only asked for when there is one
            full = mask.reshape(-1, 1, *mask.shape[-2:]).to(like.device, torch.float32)
            self._masks[key] = F.interpolate(full, size=like.shape[-2:], mode="area").to(like.dtype)
        return self._masks[key]


def row_gains(unit: ControlUnit, call: UNetCall) -> tuple[float, ...]:
    """Returns by how much each row's residuals are multiplied: strength x window x time curve x routing."""
    branches: list[Branch] = [row.branch for row in call.rows]
    gains = unit.routing.gains(branches, call.cfg_scale, guided=call.guided)
    whole_run = unit.start_percent <= 0 and unit.end_percent >= 1 and not unit.scales.curve
    percents = (0.0,) * len(gains) if whole_run else call.percents
    return tuple(gain * unit.factor(percent) for gain, percent in zip(gains, percents, strict=True))


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
    if call.x.shape[1] != config.in_channels:
        raise ValueError(
            f"The latents have {call.x.shape[1]} channels, but the ControlNet takes {config.in_channels}."
        )


def _check_hint(hint: Tensor, channels: int) -> None:
    if hint.dim() != 4 or hint.shape[1] != channels:
        raise ValueError(
            f"`hint` has the shape {tuple(hint.shape)}; this ControlNet takes (N, {channels}, 8H, 8W)."
        )
    latent_size(hint)
    if not bool(torch.isfinite(hint).all()):
        raise ValueError("`hint` holds NaN or infinite values; it must be a picture in 0..1.")


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
