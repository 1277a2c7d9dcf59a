"""The gain of each row: strength x window x time curve x routing. Residuals are multiplied by it."""

from collections.abc import Sequence
from typing import Protocol

from .call import UNetCall
from .clock import Clock
from .routing import Branch, HintRouting
from .rows import Row
from .scales import BlockScales
from .unit import ControlUnit
from .windows import Window


class Timing(Protocol):
    """The settings that decide how much control there is at each point of a run."""

    @property
    def strength(self) -> float: ...
    @property
    def scales(self) -> BlockScales: ...
    @property
    def start_percent(self) -> float: ...
    @property
    def end_percent(self) -> float: ...
    @property
    def window(self) -> Window: ...


class Routed(Timing, Protocol):
    """The settings that decide the gain of each row; hashable."""

    @property
    def routing(self) -> HintRouting: ...
    @property
    def needs_branches(self) -> bool: ...


def find_gains(
    routed: Routed,
    rows: Sequence[Row],
    clock: Clock,
    cfg_scale: float | None,
    guided: bool | None,
) -> tuple[float, ...]:
    """Returns the gain of each row; arguments as UNetCall's."""
    return _multiply(
        route_rows(routed.routing, rows, clock, cfg_scale, guided), time_factors(routed, clock)
    )


def time_factors(timed: Timing, clock: Clock) -> tuple[float, ...]:
    """Returns strength x window x time curve by row; all 0 if there is no control at this point of the run."""
    active = timed.window.active(timed.start_percent, timed.end_percent, clock)
    if not timed.scales.curve or not any(active):
        return tuple(timed.strength if on else 0.0 for on in active)
    return tuple(
        timed.strength * timed.scales.at(percent) if on else 0.0
        for on, percent in zip(active, clock.percents, strict=True)
    )


def route(unit: ControlUnit, factors: Sequence[float], call: UNetCall) -> tuple[float, ...]:
    """Returns the gain of each row: `time_factors` x routing."""
    gains = route_rows(unit.routing, call.rows, call.clock, call.cfg_scale, call.guided)
    return _multiply(gains, factors)


def route_rows(
    routing: HintRouting,
    rows: Sequence[Row],
    clock: Clock,
    cfg_scale: float | None,
    guided: bool | None,
) -> tuple[float, ...]:
    """Returns the routing's gain of each row at the time of a call; arguments as UNetCall's."""
    branches: list[Branch] = [row.branch for row in rows]
    by_row = routing.by_row(clock)
    gains = {stage: stage.gains(branches, cfg_scale, guided=guided) for stage in set(by_row)}
    return tuple(gains[stage][row] for row, stage in enumerate(by_row))


def _multiply(gains: Sequence[float], factors: Sequence[float]) -> tuple[float, ...]:
    return tuple(gain * factor for gain, factor in zip(gains, factors, strict=True))
