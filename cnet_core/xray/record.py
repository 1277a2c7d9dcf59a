"""Record: what a run injected, by call, block and row; `watch.py` measures it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ..control.routing import Branch
from ..control.rows import Row
from ..engine.usage import RowState

#: What a UNet's last block is called.
MIDDLE = "middle"

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """What one call of the UNet injected.

    Attributes:
        percent: the progress of the run, 0..1.
        rows: branch and picture of each row.
        cfg_scale: the CFG scale, if the host gave it.
        gains: [unit][row]: strength x window x time curve x routing.
        states: [unit][row]: the state of the row.
        residuals: (blocks, rows): |residual|, 0 if nothing was injected, NaN if the host did not show it.
        features: (blocks, rows): |skip| before the injection, for the last block |middle|; NaN where unknown.
        names: of the blocks, where the model is no UNet.
        scales: [unit]: of its blocks; None if it did nothing, or is a host's own control net.
    """

    percent: float
    rows: tuple[Row, ...]
    cfg_scale: float | None
    gains: tuple[tuple[float, ...], ...]
    states: tuple[tuple[RowState, ...], ...]
    residuals: Numbers
    features: Numbers
    names: tuple[str, ...] = ()
    scales: tuple[tuple[float, ...] | None, ...] = ()

    def rows_of(self, branch: Branch) -> list[int]:
        """Returns the rows of a branch."""
        return [index for index, row in enumerate(self.rows) if row.branch == branch]

    def gain(self, unit: int, row: int) -> float:
        """Returns a unit's gain of a row; 0 where the unit was not part of this call."""
        return self.gains[unit][row] if unit < len(self.gains) else 0.0

    def state(self, unit: int, row: int) -> RowState:
        """Returns what became of a row; "skipped" where the unit was not part of this call."""
        return self.states[unit][row] if unit < len(self.states) else "skipped"


@dataclass(frozen=True)
class Record:
    """What a run injected. A step is one call, or consecutive calls at the same percent."""

    calls: tuple[Call, ...]

    @cached_property
    def steps(self) -> tuple[tuple[Call, ...], ...]:
        """The calls by step."""
        grouped = groupby(self.calls, key=lambda call: round(call.percent, 6))
        return tuple(tuple(calls) for _, calls in grouped)

    @property
    def blocks(self) -> int:
        """How many blocks there are, including the middle."""
        return max((len(call.residuals) for call in self.calls), default=0)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What the blocks are called: their numbers, the last one "middle", unless the model has other blocks."""
        named = max((call.names for call in self.calls), key=len, default=())
        numbers = (*(str(block) for block in range(self.blocks - 1)), MIDDLE)
        return named if len(named) == self.blocks else numbers

    @property
    def is_unet(self) -> bool:
        """Whether the blocks are a UNet's: skips shallow to deep, then the middle."""
        return self.names[-1:] == (MIDDLE,)

    @property
    def units(self) -> int:
        """How many ControlNets there are."""
        return max((len(call.gains) for call in self.calls), default=0)

    @property
    def active_units(self) -> int:
        """How many ControlNets acted in some step."""
        return sum(
            any(
                set(call.states[unit]) != {"skipped"}
                for call in self.calls
                if unit < len(call.states)
            )
            for unit in range(self.units)
        )

    @cached_property
    def scales(self) -> frozenset[tuple[float, ...] | None]:
        """The block scales of the ControlNets that acted, each once; None for a host's own control net."""
        return frozenset(
            call.scales[unit]
            for call in self.calls
            for unit, states in enumerate(call.states)
            if set(states) != {"skipped"}
        )

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The branches in the run, cond first."""
        there = {row.branch for call in self.calls for row in call.rows}
        return tuple(b for b in ("cond", "uncond") if b in there)

    @property
    def percents(self) -> tuple[float, ...]:
        """The progress of the run by step."""
        return tuple(step[0].percent for step in self.steps)

    def ratios(self, branch: Branch) -> Numbers:
        """Returns |residual| / |skip| of a branch, (blocks, steps), over all its rows.

        0 if nothing was injected, NaN if the branch was missing or the host did not show its features.
        """
        columns = [self._ratio(step, branch) for step in self.steps]
        return np.stack(columns, axis=1) if columns else np.zeros((self.blocks, 0))

    def gains(self, unit: int, branch: Branch) -> Numbers:
        """Returns the mean gain of a unit in a branch by step, (steps,); NaN if the branch was missing."""
        values = [
            [call.gain(unit, row) for call in step for row in call.rows_of(branch)]
            for step in self.steps
        ]
        return np.array([np.mean(gains) if gains else np.nan for gains in values])

    def total_gains(self, unit: int) -> Numbers:
        """Returns g * cond + (1 - g) * uncond by step, the total gain after guidance, (steps,).

        Without uncond rows it is cond's; NaN if the CFG scale g is unknown.
        """
        scales = [step[0].cfg_scale for step in self.steps]
        scale = np.array([np.nan if s is None else s for s in scales])
        cond, uncond = self.gains(unit, "cond"), self.gains(unit, "uncond")
        return np.where(np.isnan(uncond), cond, scale * cond + (1 - scale) * uncond)

    def states(self, unit: int, branch: Branch) -> tuple[frozenset[RowState], ...]:
        """Returns the states of a branch's rows by step; an empty set if the branch was missing."""
        return tuple(
            frozenset(call.state(unit, row) for call in step for row in call.rows_of(branch))
            for step in self.steps
        )

    def _ratio(self, step: Sequence[Call], branch: Branch) -> Numbers:
        injected, features = np.zeros(self.blocks), np.zeros(self.blocks)
        there = False
        for call in step:
            rows = call.rows_of(branch)
            there = there or bool(rows)
            if rows and len(call.residuals):
                injected += (call.residuals[:, rows] ** 2).sum(1)
                features += np.nan_to_num(call.features[:, rows] ** 2).sum(1)
        ratio = np.divide(
            injected, features, out=np.where(injected == 0, 0, np.nan), where=features > 0
        )
        return np.sqrt(ratio) if there else np.full(self.blocks, np.nan)
