"""The folder of a run: config.json, metrics.jsonl, checkpoints, plots, pictures and the result.

A checkpoint is one safetensors file, written to a temporary name and then renamed. A run that is killed at any moment
continues from the newest one.
"""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from PIL import Image

from ..checkpoints import save_controlnet
from ..checkpoints.container.files import read_tensors, write_atomically, write_tensors
from ..checkpoints.low_rank import save_low_rank
from ..nets.controlnet import ControlNet
from ..nets.low_rank import LowRankControlNet
from .contents import Contents
from .meter import Reading
from .run_plots import draw_plots
from .trainer import State

logger = logging.getLogger("cnet")

CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "control_net.safetensors"
#: The digests of a run's base and samples.
CONTENTS = "contents.jsonl"
#: Metadata key of a checkpoint's step and loss scale.
STATE_KEY = "cnet_training"
#: How many checkpoints are kept: the newest, and the one before it.
KEPT = 2

MetricsRow = dict[str, Any]


class RunFolder:
    """The files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def begin(self, config: Mapping[str, Any]) -> None:
        """Creates the folder of a new run.

        Raises:
            ValueError: there already is a run, or `path` is a file.
        """
        self.check_free()
        self.path.mkdir(parents=True, exist_ok=True)
        self.set_config(config)

    def set_config(self, config: Mapping[str, Any]) -> None:
        """Writes the config of this folder's run."""
        text = json.dumps(dict(config), indent=2) + "\n"
        write_atomically(self.path / CONFIG, lambda file: file.write(text.encode()))

    def contents(self) -> Contents | None:
        """Returns the run's contents at its start; None for the embedded base, and for runs of older versions.

        Raises:
            ValueError: the file is damaged.
        """
        file = self.path / CONTENTS
        if not file.is_file():
            return None
        try:
            return Contents.from_rows([json.loads(line) for line in file.read_text().splitlines()])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{file} is damaged, so it is unknown whether the data changed; remove it to continue without the "
                "check."
            ) from error

    def set_contents(self, contents: Contents) -> None:
        """Writes the run's contents."""
        text = "".join(json.dumps(row) + "\n" for row in contents.to_rows())
        write_atomically(self.path / CONTENTS, lambda file: file.write(text.encode()))

    def check_free(self) -> None:
        """Raises ValueError unless a new run may start here; creates nothing."""
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"`--out` is {self.path}, which is a file; give a folder.")
        if (self.path / CONFIG).exists() or self._checkpoints():
            raise ValueError(
                f"{self.path} already holds a run; continue it with `--resume`, or give another folder."
            )

    def config(self) -> MetricsRow:
        """Returns the config of this folder's run.

        Raises:
            ValueError: there is none, or a damaged one.
        """
        file = self.path / CONFIG
        if not file.is_file():
            raise ValueError(f"{self.path} holds no run to resume; start one without `--resume`.")
        try:
            return cast(MetricsRow, json.loads(file.read_text()))
        except ValueError as error:
            raise ValueError(f"{file} is damaged: {error}.") from error

    def write(self, row: MetricsRow) -> None:
        """Adds a line to the metrics."""
        with (self.path / METRICS).open("a") as file:
            file.write(json.dumps(row) + "\n")

    def rows(self) -> list[MetricsRow]:
        """Returns the lines of the metrics; without one that a crash truncated."""
        file = self.path / METRICS
        return (
            []
            if not file.is_file()
            else list(filter(None, map(_row, file.read_text().splitlines())))
        )

    def readings(self, until: int) -> list[Reading]:
        """Returns the meter's readings up to a step."""
        found = [Reading.from_dict(row["reading"]) for row in self.rows() if "reading" in row]
        return [reading for reading in found if reading.step <= until]

    def save(self, state: State, result: ControlNet) -> None:
        """Writes the state, then the result, then removes all but the last KEPT checkpoints.

        Raises:
            OSError: the disk is full, for example; the earlier save is kept.
        """
        facts = json.dumps({"step": state.step, "scaler": state.scaler})
        file = self.path / "checkpoints" / f"step_{state.step:08d}.safetensors"
        file.parent.mkdir(exist_ok=True)
        try:
            write_tensors(state.tensors, file, {STATE_KEY: facts})
            _save_result(result, self.path / RESULT)
        except OSError as error:
            what = f"{error.strerror}; the earlier save is kept"
            raise OSError(error.errno, what, str(file)) from error
        for old in self._checkpoints()[:-KEPT]:
            old.unlink()

    def state(self) -> State | None:
        """Returns the state of the newest complete checkpoint; None before the first.

        Raises:
            ValueError: all checkpoints are damaged.
        """
        files = self._checkpoints()
        for file in reversed(files):
            try:
                return _state(file)
            except (ValueError, FileNotFoundError) as error:
                logger.warning("The run does not continue from its checkpoint %s: %s", file, error)
        if files:
            raise ValueError(
                f"{self.path} holds no complete checkpoint; train again in another folder."
            )
        return None

    def forget_after(self, step: int) -> None:
        """Removes checkpoints and metrics of later steps, which a resumed run repeats."""
        for file in self._checkpoints():
            if file.stem > f"step_{step:08d}":
                file.unlink()
        kept = "".join(json.dumps(row) + "\n" for row in self.rows() if row["step"] <= step)
        write_atomically(self.path / METRICS, lambda file: file.write(kept.encode()))

    def save_picture(self, image: Image.Image, name: str) -> None:
        """Writes a picture, atomically; `name` may include a folder."""
        file = self.path / name
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, lambda stream: image.save(stream, "PNG"))

    def plot(self) -> None:
        """Writes the plots of the metrics so far."""
        for name, image in draw_plots(self.rows()).items():
            self.save_picture(image, name)

    def _checkpoints(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("step_*.safetensors"))


def _save_result(result: ControlNet, path: Path) -> None:
    """Writes a net whole, or what it learned if that is of low rank."""
    if isinstance(result, LowRankControlNet):
        save_low_rank(result, path)
    else:
        save_controlnet(result, path)


def _state(file: Path) -> State:
    """Returns a checkpoint's state; raises ValueError if the file is damaged or no checkpoint of a run."""
    tensors, metadata = read_tensors(file)
    if STATE_KEY not in metadata:
        raise ValueError("it does not name its step, so it is not a run's checkpoint.")
    facts = json.loads(metadata[STATE_KEY])
    return State(facts["step"], tensors, facts["scaler"])


def _row(line: str) -> MetricsRow | None:
    try:
        return cast(MetricsRow, json.loads(line))
    except ValueError:
        return None
