"""fit: steps until the end, with losses, readings and saves at their intervals."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..nets.controlnet import ControlNet
from .meter import ConvergenceMeter, Reading, convergence_step
from .trainer import State, Trainer


class DivergenceError(ValueError):
    """The loss or a weight became NaN or infinite."""


@dataclass(frozen=True)
class Intervals:
    """The number of steps between events; every event also happens after the last step."""

    log: int = 10
    read: int = 50
    save: int = 200

    def __post_init__(self) -> None:
        for name in ("log", "read", "save"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"The interval `{name}` is {getattr(self, name)}; it must be at least 1."
                )


class Events(Protocol):
    """The events of a run while it trains."""

    def on_step(self, step: int) -> None:
        """A step is done."""
        ...

    def on_log(self, step: int, loss: float, rate: float) -> None:
        """`loss` is the mean since the last log."""
        ...

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        """The meter was read; `converged_at` is the step of convergence, once known."""
        ...

    def save(self, state: State, result: ControlNet) -> None:
        """Save the state and the result now."""
        ...


class SilentEvents:
    """Ignores all events, in all processes but the first."""

    def on_step(self, step: int) -> None:
        pass

    def on_log(self, step: int, loss: float, rate: float) -> None:
        pass

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        pass

    def save(self, state: State, result: ControlNet) -> None:
        pass


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    step: int
    reason: str  # "finished", "converged" or "interrupted"
    converged_at: int | None
    compared: bool = True  # whether the meter had a wrong hint; nothing converges without one


def fit(
    trainer: Trainer,
    meter: ConvergenceMeter,
    steps: int,
    events: Events,
    *,
    intervals: Intervals | None = None,
    readings: Sequence[Reading] = (),
    stop: Callable[[], bool] = lambda: False,
    stop_at_convergence: bool = False,
) -> Outcome:
    """Trains up to `steps` steps in all, from the trainer's current step.

    Args:
        trainer: new or restored.
        meter: reads the net at intervals.
        steps: the total. Nothing depends on it, so it may be raised later.
        events: receives the events.
        intervals: when they happen; None is the default.
        readings: those of the run before an interruption.
        stop: called after every step (with several processes: at every log); True ends the run, saved as usual.
        stop_at_convergence: end when the meter reports convergence.

    Raises:
        DivergenceError: the loss or a weight is not finite; nothing is saved.
        RuntimeError: a new net changes the prediction.
    """
    run = _Run(trainer, meter, events, intervals or Intervals(), list(readings))
    if trainer.step == 0 and not run.readings:
        run.check_start()
    reason = "finished"
    while trainer.step < steps:
        converged = run.advance(last=trainer.step + 1 == steps)
        if stop_at_convergence and trainer.processes.any(converged):
            reason = "converged"
            break
        if trainer.step < steps and run.should_stop(stop):
            reason = "interrupted"
            break
    run.finish()
    return Outcome(trainer.step, reason, convergence_step(run.readings), meter.compares)


class _Run:
    def __init__(
        self,
        trainer: Trainer,
        meter: ConvergenceMeter,
        events: Events,
        intervals: Intervals,
        readings: list[Reading],
    ) -> None:
        self.trainer, self.meter, self.events = trainer, meter, events
        self.intervals, self.readings = intervals, readings
        self._losses: list[Tensor] = []
        self._saved_at = trainer.step

    def check_start(self) -> None:
        """Reads the new net, which must change nothing."""
        reading = self._read_meter()
        fresh = not any(reading.zero_convs)
        if fresh and reading.effect != 0:
            raise RuntimeError(
                f"A ControlNet with zero convs at 0 changes the prediction (rms {reading.effect:.3g}): this is a bug."
            )

    def advance(self, *, last: bool) -> bool:
        """Takes a step, with all events due after it; returns whether the meter has just seen convergence."""
        self._losses.append(self.trainer.advance())
        step = self.trainer.step
        self.events.on_step(step)
        saving = last or step % self.intervals.save == 0
        if saving or step % self.intervals.log == 0:
            self._log()
        converged = False
        if last or step % self.intervals.read == 0:
            self._read_meter()
            converged = convergence_step(self.readings) is not None
        if saving:
            self._save()
        return converged

    def should_stop(self, stop: Callable[[], bool]) -> bool:
        """Whether to end here; several processes agree on it, at every log."""
        processes = self.trainer.processes
        if processes.count > 1 and self.trainer.step % self.intervals.log:
            return False
        return processes.any(stop())

    def finish(self) -> None:
        """Saves what the net has learned since the last save."""
        if self._saved_at != self.trainer.step:
            self._log()
            self._save()

    def _log(self) -> None:
        if not self._losses:
            return
        loss = float(self.trainer.processes.mean(torch.stack(self._losses).mean()))
        step = self.trainer.step
        if not math.isfinite(loss):
            raise DivergenceError(
                f"The loss became {loss} between steps {step - len(self._losses)} and {step}; use a lower "
                "`learning_rate`, or precision 'bf16' instead of 'fp16'."
            )
        self._losses.clear()
        self.events.on_log(step, loss, self.trainer.settings.rate(step))

    def _read_meter(self) -> Reading:
        with self.trainer.autocast():
            reading = self.meter.read(self.trainer.net, self.trainer.step)
        self.readings.append(reading)
        self.events.on_reading(reading, convergence_step(self.readings))
        return reading

    def _save(self) -> None:
        state = self.trainer.state()
        finite = all(bool(tensor.isfinite().all()) for tensor in state.tensors.values())
        if self.trainer.processes.any(not finite):
            raise DivergenceError(
                f"The weights became NaN or infinite by step {state.step}; the last save is from step "
                f"{self._saved_at}. Use a lower `learning_rate`."
            )
        self.events.save(state, self.trainer.result)
        self._saved_at = state.step
