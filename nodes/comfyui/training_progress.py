"""What Train ControlNet shows: the progress with previews, the plots and the report."""

from collections.abc import Callable, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from PIL import Image
from torch import Tensor

from ...cnet_core import ControlNet
from ...cnet_core.training import Reading
from ...cnet_core.training.loop import Outcome
from ...cnet_core.training.run_plots import draw_plots
from ...cnet_core.training.trainer import State

PREVIEW_SIZE = 512  # pixels


class ProgressEvents:
    """Shows what happens on the node's progress bar and keeps it for the plots."""

    def __init__(self, steps: int, draw: Callable[[], Image.Image]) -> None:
        self.rows: list[dict[str, Any]] = []
        self.stopped = False
        self._steps, self._draw = steps, draw
        self._bar = comfy.utils.ProgressBar(steps)

    def on_step(self, step: int) -> None:
        self._show(step, None)

    def on_log(self, step: int, loss: float, rate: float) -> None:
        self.rows.append({"step": step, "loss": loss})

    def on_reading(self, reading: Reading, converged_at: int | None) -> None:
        self.rows.append({"step": reading.step, "reading": reading.to_dict()})
        if not self.stopped:
            self._show(reading.step, ("JPEG", self._draw(), PREVIEW_SIZE))

    def save(self, state: State, result: ControlNet) -> None:
        """Does nothing: the result stays in memory."""

    def finish(self, step: int) -> None:
        """Shows the plots as the last preview: front ends show that rather than a node's own pictures."""
        plots = _in_a_column(_plots(self.rows))
        self._show(step, ("JPEG", plots, max(plots.size)))

    def _show(self, step: int, preview: Any) -> None:
        """Advances the bar; ComfyUI raises an interrupt here, and then forgets it."""
        try:
            self._bar.update_absolute(step, self._steps, preview)
        except comfy.model_management.InterruptProcessingException:
            self.stopped = True


def plot_pictures(rows: list[dict[str, Any]]) -> Tensor:
    """Returns the plots as pictures (N, H, W, 3), 0..1."""
    plots = _plots(rows)
    images = [torch.frombuffer(bytearray(plot.tobytes()), dtype=torch.uint8) for plot in plots]
    width, height = plots[0].size
    return torch.stack([i.reshape(height, width, 3).float() / 255 for i in images])


def _in_a_column(pictures: Sequence[Image.Image]) -> Image.Image:
    """Returns pictures of one width stacked in a column."""
    column = Image.new("RGB", (pictures[0].width, sum(p.height for p in pictures)))
    top = 0
    for picture in pictures:
        column.paste(picture, (0, top))
        top += picture.height
    return column


def _plots(rows: list[dict[str, Any]]) -> list[Image.Image]:
    return list(draw_plots(rows).values())


def report_outcome(outcome: Outcome, rows: list[dict[str, Any]]) -> str:
    """Returns in words how the training ended."""
    readings = [Reading.from_dict(row["reading"]) for row in rows if "reading" in row]
    last = readings[-1]
    if not outcome.compared:
        return (
            f"{outcome.step} steps, {outcome.reason}. Whether it follows its hint cannot be measured on one picture: "
            f"there is no other hint to compare with. Loss {last.loss:.4f}."
        )
    follows = (
        "It does not follow its hint yet: train longer, or with a higher learning rate."
        if outcome.converged_at is None
        else f"It has followed its hint since step {outcome.converged_at}."
    )
    return (
        f"{outcome.step} steps, {outcome.reason}. {follows} Loss {last.loss:.4f} with the matching hint, "
        f"{last.wrong_loss:.4f} with a wrong one."
    )
