"""Clock: what a host knows of time at one call of the UNet. Windows and time curves read it, row by row."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, cast

import numpy as np
from torch import Tensor

#: (index of the current sampling step from 0, number of steps of the run).
CountedStep = tuple[int, int]

#: The last training timestep of Stable Diffusion: percent 0 of a run.
LAST_TIMESTEP = 999

#: Bisection steps from a noise level to its percent: enough for float32.
HALVINGS = 30

#: Returns the noise level at a percent of training time; falls with the percent.
PercentToSigma = Callable[[float], float]


class Clock(Protocol):
    """What a host knows of time at one call of the UNet."""

    @property
    def rows(self) -> int:
        """How many rows the call has."""
        ...

    @property
    def step(self) -> CountedStep | None:
        """The current sampling step and the number of steps; None if the host does not count them."""
        ...

    @property
    def percents(self) -> tuple[float, ...]:
        """The progress of the run by row, 0..1 of training time."""
        ...

    def within(self, start: float, end: float) -> tuple[bool, ...]:
        """Returns by row whether the run is in [start, end] of training time; 0 and 1 never cut anything off."""
        ...


@dataclass(frozen=True)
class TimestepClock:
    """The clock of plain Stable Diffusion: percent is 1 - t/999."""

    timesteps: Tensor  # (B,)
    step: CountedStep | None = None

    @property
    def rows(self) -> int:
        """As Clock.rows."""
        return len(self.timesteps)

    @property
    def percents(self) -> tuple[float, ...]:
        """As Clock.percents; reading them waits for the device."""
        return self._percents

    @cached_property
    def _percents(self) -> tuple[float, ...]:
        timesteps = cast(list[float], self.timesteps.tolist())
        return tuple(1 - t / LAST_TIMESTEP for t in timesteps)

    def within(self, start: float, end: float) -> tuple[bool, ...]:
        """As Clock.within; for the whole run it does not wait for the device."""
        if start <= 0 and end >= 1:
            return (True,) * self.rows
        return tuple(
            (start <= 0 or percent >= start) and (end >= 1 or percent <= end)
            for percent in self.percents
        )


@dataclass(frozen=True)
class SigmaClock:
    """The clock of hosts that count in noise levels; all rows share one, as in ComfyUI."""

    sigma: float
    percent_to_sigma: PercentToSigma
    rows: int
    step: CountedStep | None = None

    @property
    def percents(self) -> tuple[float, ...]:
        """As Clock.percents."""
        return (self._percent,) * self.rows

    @cached_property
    def _percent(self) -> float:
        return percent_of(self.sigma, self.percent_to_sigma)

    def within(self, start: float, end: float) -> tuple[bool, ...]:
        """As Clock.within, decided on noise levels exactly as ComfyUI's own ControlNets do."""
        sigma = _to_float32(self.sigma)
        begun = sigma <= _to_float32(self.percent_to_sigma(start))
        over = sigma < _to_float32(self.percent_to_sigma(end))
        return (begun and not over,) * self.rows


def _to_float32(value: float) -> float:
    """Rounds as torch does where it compares a limit with a noise level, which is a float32 tensor."""
    return float(np.float32(value))


def percent_of(sigma: float, percent_to_sigma: PercentToSigma) -> float:
    """Returns the percent at which `percent_to_sigma` falls to `sigma`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if percent_to_sigma(middle) > sigma:
            low = middle
        else:
            high = middle
    return (low + high) / 2
