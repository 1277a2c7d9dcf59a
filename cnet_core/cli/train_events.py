"""TerminalEvents: reports a run's events to its folder, its boards and the terminal."""

import sys
import time
from collections.abc import Sequence

from ..nets.controlnet import ControlNet
from ..tiny.sheet import to_image
from ..training.board import FiguresView
from ..training.folder import MetricsRow, RunFolder
from ..training.meter import Reading
from ..training.source import Previewer
from ..training.trainer import State


class TerminalEvents:
    """Writes figures and pictures, and shows the progress in one line of the terminal."""

    def __init__(
        self,
        folder: RunFolder,
        preview: Previewer,
        steps: int,
        step: int,
        boards: Sequence[FiguresView],
    ) -> None:
        self._folder, self._preview, self._steps = folder, preview, steps
        self._boards = boards
        self._first, self._begin = step, time.monotonic()
        self._line = ""

    def on_step(self, step: int) -> None:
        speed = (step - self._first) / (time.monotonic() - self._begin)
        left = (self._steps - step) / speed
        self._show(
            f"step {step} / {self._steps}  {speed:.2f} steps/s  {_clock(left)} left  {self._line}"
        )

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self._line = f"loss {loss:.4f}"
        self._write({"step": step, "loss": loss, "rate": rate})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self._write({"step": reading.step, "reading": reading.to_dict()})
        follows = (
            "" if converged_at is None else f"  has followed its hint since step {converged_at}"
        )
        gain = "" if reading.gain is None else f", {reading.gain:.2%} better than no hint"
        self._tell(
            f"step {reading.step}: held-out loss {reading.loss:.4f}, gap {reading.gap:.2%}{gain}{follows}"
        )
        self._folder.plot()

    def save(self, state: State, result: ControlNet) -> None:
        self._folder.save(state, result)
        picture, figures = self._preview(result)
        self._folder.save_picture(to_image(picture), f"previews/step_{state.step:08d}.png")
        if figures:
            self._write({"step": state.step, **figures})
            self._tell("  ".join(f"{name} {value:.3f}" for name, value in figures.items()))

    def _write(self, row: MetricsRow) -> None:
        self._folder.write(row)
        for board in self._boards:
            board.write(row)

    def _tell(self, line: str) -> None:
        self._show("")
        print(line, flush=True)

    def _show(self, line: str) -> None:
        if sys.stderr.isatty():
            print(f"\r{line:<100}", end="\r", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
