"""HintRouting: how much of the hint each branch of classifier-free guidance gets."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .clock import Clock
from .points import parse_number, rise, split_pairs

Branch = Literal["cond", "uncond"]

#: From this CFG scale up `target_gain` leaves the cond gain at 1; below, its uncond gain would grow without bound.
FULL_COND_FROM = 1.5


@dataclass(frozen=True)
class HintRouting:
    """Branch -> gain. With eps = u + g * (c - u), a control effect D in the cond branch counts g times, one in
    the uncond branch 1 - g times; so gains c and m give the total c * g + m * (1 - g).
    """

    cond: float = 1.0
    uncond: float = 1.0
    target: float | None = None  # the total gain wanted, whatever the CFG scale; overrides the two
    stages: "Stages" = ()  # what holds from each percent of the run on; overrides the three

    def __post_init__(self) -> None:
        numbers = (self.cond, self.uncond, 0.0 if self.target is None else self.target)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError(f"The gains {numbers} (cond, uncond, target) must be finite numbers.")

    @classmethod
    def both(cls) -> "HintRouting":
        """Both branches equally: guidance does not amplify the control's effect."""
        return cls(1.0, 1.0)

    @classmethod
    def cond_only(cls) -> "HintRouting":
        """Only the prompt's branch: guidance multiplies the effect by the CFG scale."""
        return cls(1.0, 0.0)

    @classmethod
    def uncond_only(cls) -> "HintRouting":
        """Only the empty prompt's branch: guidance pushes away from the hint."""
        return cls(0.0, 1.0)

    @classmethod
    def weighted(cls, cond: float = 1.0, uncond: float = 0.5) -> "HintRouting":
        """Any gain for each branch."""
        return cls(cond, uncond)

    @classmethod
    def target_gain(cls, gain: float = 2.0) -> "HintRouting":
        """The gains that make the total `gain` at the CFG scale g in use.

        From g = 1.5 up cond has 1 and uncond m = (g - gain) / (g - 1). Without guidance (g = 1) cond has `gain`, as
        uncond does not count. In between, cond changes linearly from one to the other, and uncond supplies the
        rest, so that no gain exceeds 2 * |gain| + 3 and the total stays exact. Below 1 both have `gain`.
        """
        return cls(1.0, 0.0, gain)

    @classmethod
    def none(cls) -> "HintRouting":
        """Neither branch: no control."""
        return cls(0.0, 0.0)

    @classmethod
    def over_time(cls, stages: Sequence[tuple[float, "HintRouting"]]) -> "HintRouting":
        """Another routing from each percent of the run on; it equals one unit for each stage, with its window.

        At a stage's own percent only this stage acts, while two units would: windows include both ends.

        Args:
            stages: (percent, routing), percents rising from 0.

        Raises:
            ValueError: percents that do not rise from 0 or lie outside 0..1, or a stage that has stages itself.
        """
        percents = [percent for percent, _ in stages]
        if not percents or percents[0] != 0 or percents[-1] > 1 or not rise(percents):
            raise ValueError(
                f"The percents {percents} of a routing must rise from 0 and lie in 0..1."
            )
        if any(routing.stages for _, routing in stages):
            raise ValueError(
                "A stage of `over_time` changes over time itself; give one list of stages."
            )
        return replace(stages[0][1], stages=tuple(stages))

    @property
    def needs_branches(self) -> bool:
        """Whether cond and uncond rows get different gains at any time."""
        if self.stages:
            return any(routing.needs_branches for _, routing in self.stages)
        return self.target is not None or self.cond != self.uncond

    def at(self, percent: float) -> "HintRouting":
        """Returns the routing at `percent` of the run; a stage begins at its own percent."""
        begun = [routing for start, routing in self.stages if percent >= start]
        return begun[-1] if begun else self

    def by_row(self, clock: Clock) -> tuple["HintRouting", ...]:
        """Returns the routing of each row. A stage begins where a unit with its percent as start would."""
        rows: tuple[HintRouting, ...] = (self,) * clock.rows
        for start, routing in self.stages:
            begun = clock.within(start, 1.0)
            rows = tuple(routing if on else row for on, row in zip(begun, rows, strict=True))
        return rows

    def gains(
        self,
        branches: Sequence[Branch],
        cfg_scale: float | None = None,
        *,
        guided: bool | None = None,
    ) -> tuple[float, ...]:
        """Returns the gain of each row, given the branch of each row.

        With `target_gain` and no uncond row, or at CFG scale 1, the cond rows carry the whole gain. A host that
        runs the branches in separate calls sets `guided` to tell whether another call has uncond rows.

        Raises:
            ValueError: a row is neither cond nor uncond, `target_gain` has no CFG scale, or the routing has stages.
        """
        if self.stages:
            raise ValueError("This routing changes over the run; call `at(percent)` first.")
        unknown = sorted(set(branches) - {"cond", "uncond"})
        if unknown:
            raise ValueError(f"`rows` has the branches {unknown}; a row is 'cond' or 'uncond'.")
        cond, uncond = self._pair(cfg_scale, "uncond" in branches if guided is None else guided)
        return tuple(cond if branch == "cond" else uncond for branch in branches)

    def _pair(self, cfg_scale: float | None, guided: bool) -> tuple[float, float]:
        if self.target is None:
            return self.cond, self.uncond
        if not guided:
            return self.target, 0.0
        if cfg_scale is None:
            raise ValueError(
                "`target_gain` needs the CFG scale of the run: set `cfg_scale` on the Attachment."
            )
        return _gains_for_total(self.target, cfg_scale)


#: (percent, routing): what holds from each percent of the run on.
Stages = tuple[tuple[float, HintRouting], ...]


def parse_stages(text: str, modes: Mapping[str, HintRouting]) -> Stages:
    """Returns the stages of a text such as `0:both, 0.4:cond_only, 0.8:none`; empty for an empty text.

    Args:
        text: percent:mode pairs.
        modes: name -> routing.

    Raises:
        ValueError: a part is not a number and the name of a mode with a colon between them.
    """
    pairs = split_pairs(text)
    if not all(len(pair) == 2 and _is_percent(pair[0]) and pair[1] in modes for pair in pairs):
        raise ValueError(
            f"`time_curve` is {text!r}; write percent:mode pairs, such as 0:both, 0.4:cond_only, 0.8:none. The modes "
            f"are {', '.join(modes)}."
        )
    stages = tuple((parse_number(percent), modes[mode]) for percent, mode in pairs)
    if not rise([percent for percent, _ in stages]):
        raise ValueError(f"`time_curve` is {text!r}; its percents must rise.")
    return stages


def _is_percent(text: str) -> bool:
    return 0 <= parse_number(text) <= 1


def _gains_for_total(total: float, cfg_scale: float) -> tuple[float, float]:
    """Returns (cond, uncond) with cond * g + uncond * (1 - g) = total."""
    if cfg_scale >= FULL_COND_FROM:
        return 1.0, (cfg_scale - total) / (cfg_scale - 1)
    if cfg_scale <= 1:
        return total, 0.0 if cfg_scale == 1 else total
    span = FULL_COND_FROM - 1
    return total + (1 - total) * (cfg_scale - 1) / span, total + (1 - total) * cfg_scale / span
