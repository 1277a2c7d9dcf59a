"""The folder of a run: config.json, metrics.jsonl, checkpoints, plots, pictures and the result.

A checkpoint is one safetensors file, written aside and moved into place. A run that is killed at any moment goes on
from the newest one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from PIL import Image

from ..checkpoints import save_controlnet
from ..checkpoints.files import read_tensors, write_atomically, write_tensors
from ..controlnet import ControlNet
from .meter import Reading, convergence_step
from .plots import line_plot
from .trainer import State

CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "control_net.safetensors"
#: Metadata key of a checkpoint's step and loss scale.
STATE_KEY = "cnet_training"
#: So many checkpoints are kept: the newest, and one before it.
KEPT = 2

Row = dict[str, Any]


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, config: Mapping[str, Any]) -> None:
        """Makes the folder of a new run.

        Raises:
            ValueError: there already is a run, or `path` is a file.
        """
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        text = json.dumps(dict(config), indent=2) + "\n"
        write_atomically(self.path / CONFIG, lambda file: file.write(text.encode()))

    def check_free(self) -> None:
        """Raises ValueError unless a new run may begin here; makes nothing."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"`--out` is {self.path}, which is a file; name a folder.")
        if (self.path / CONFIG).exists() or self._checkpoints():
            raise ValueError(
                f"{self.path} already holds a run; go on with it by `--resume`, or name another folder."
            )

    def config(self) -> Row:
        """Returns the config of the run that is here.

        Raises:
            ValueError: there is none, or a damaged one.
        """
        file = self.path / CONFIG
        if not file.is_file():
            raise ValueError(f"{self.path} holds no run to resume; start one without `--resume`.")
        try:
            return cast(Row, json.loads(file.read_text()))
        except ValueError as error:
            raise ValueError(f"{file} is damaged: {error}.") from error

    def write(self, row: Row) -> None:
        """Adds a line to the metrics."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[Row]:
        """Returns the lines of the metrics; one that was cut off by a crash is left out."""
        file = self.path / METRICS
        return (
            []
            if not file.is_file()
            else list(filter(None, map(_row, file.read_text().splitlines())))
        )

    def readings(self, until: int) -> list[Reading]:
        """Returns what the meter saw up to a step."""
        found = [Reading.from_dict(row["reading"]) for row in self.rows() if "reading" in row]
        return [reading for reading in found if reading.step <= until]

    def save(self, state: State, result: ControlNet) -> None:
        """Keeps the state, then the result, then drops what is older than KEPT checkpoints.

        Raises:
            OSError: the disk is full, for example; what was saved before is kept.
        """
        facts = json.dumps({"step": state.step, "scaler": state.scaler})
        file = self.path / "checkpoints" / f"step_{state.step:08d}.safetensors"
        file.parent.mkdir(exist_ok=True)
        try:
            write_tensors(state.tensors, file, {STATE_KEY: facts})
            save_controlnet(result, self.path / RESULT)
        except OSError as error:
            what = f"{error.strerror}; what was saved before is kept"
            raise OSError(error.errno, what, str(file)) from error
        for old in self._checkpoints()[:-KEPT]:
            old.unlink()

    def state(self) -> State | None:
        """Returns the newest checkpoint's state; None before the first.

        Raises:
            ValueError: the file is damaged, or no checkpoint of a run.
        """
        files = self._checkpoints()
        if not files:
            return None
        tensors, metadata = read_tensors(files[-1])
        if STATE_KEY not in metadata:
            raise ValueError(
                f"{files[-1]} does not say which step it is of, so it is no checkpoint of a run; remove it, and "
                "the run goes on from the one before."
            )
        facts = json.loads(metadata[STATE_KEY])
        return State(facts["step"], tensors, facts["scaler"])

    def forget_after(self, step: int) -> None:
        """Takes back what the metrics say of later steps, which a resumed run takes again."""
        kept = "".join(json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step)
        write_atomically(self.path / METRICS, lambda file: file.write(kept.encode()))

    def picture(self, image: Image.Image, name: str) -> None:
        """Writes a picture, atomically; `name` may have a folder in it."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, lambda stream: image.save(stream, "PNG"))

    def plot(self) -> None:
        """Writes loss.png and convergence.png of the metrics so far."""
        for name, image in plots(self.rows()).items():
            self.picture(image, name)

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("step_*.safetensors"))


def plots(rows: list[Row]) -> dict[str, Image.Image]:
    """Returns the plots of a run's metrics by file name."""
    readings = [Reading.from_dict(row["reading"]) for row in rows if "reading" in row]
    converged = convergence_step(readings)
    marks = {} if converged is None else {f"follows its hint ({converged})": float(converged)}
    loss = {
        "training": [(row["step"], row["loss"]) for row in rows if "loss" in row],
        "held-out": [(r.step, r.loss) for r in readings],
        "held-out, wrong hint": [(r.step, r.wrong_loss) for r in readings],
    }
    convergence = {
        "gap": [(r.step, r.gap) for r in readings],
        "effect": [(r.step, r.effect) for r in readings],
        "zero convs": [(r.step, sum(n * n for n in r.zero_convs) ** 0.5) for r in readings],
    }
    adherence = [(row["step"], row["adherence"]) for row in rows if "adherence" in row]
    if adherence:
        convergence["adherence"] = adherence
    return {
        "loss.png": line_plot(loss, "loss", marks=marks),
        "convergence.png": line_plot(convergence, "does it use its hint?", log=True, marks=marks),
    }


def _row(line: str) -> Row | None:
    try:
        return cast(Row, json.loads(line))
    except ValueError:
        return None
