"""Trackers: a run's figures in Weights & Biases, MLflow, Comet and others, through Hugging Face accelerate.

accelerate knows their libraries; this only passes names and numbers on.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from .board import read_numbers

#: The run's project in each tracker.
PROJECT = "cnet"


class Trackers:
    """Sends the numbers of a run's metrics to trackers. Their errors do not end the run: the log names the first.

    Args:
        names: accelerate's names of the trackers, such as "wandb".
        folder: where trackers that write files write them.
        tell: gets a sentence about the first error.

    Raises:
        ValueError: accelerate or a tracker's library is missing, or a name is unknown.
    """

    def __init__(
        self, names: Sequence[str], folder: Path, tell: Callable[[str], None] = print
    ) -> None:
        self._tell, self._failed = tell, False
        accelerate = _accelerate()
        known = sorted(kind.value for kind in accelerate.utils.LoggerType if kind.value != "all")
        for name in names:
            if name not in known:
                raise ValueError(f"`--tracker` is {name!r}; accelerate knows {', '.join(known)}.")
        self._accelerator = accelerate.Accelerator(
            mixed_precision="no", log_with=list(names), project_dir=str(folder)
        )
        found = {str(getattr(kind, "value", kind)) for kind in self._accelerator.log_with}
        for name in names:
            if name not in found:
                raise ValueError(
                    f"`--tracker` is {name!r}, whose library is not installed: install {name} with pip."
                )

    def begin(self, config: Mapping[str, Any]) -> None:
        """Opens a run in each tracker, with the config's settings."""
        self._accelerator.init_trackers(PROJECT, config=_choose_values(config))

    def write(self, row: Mapping[str, Any]) -> None:
        """Sends a line of the metrics."""
        with self._survive():
            self._accelerator.log(dict(read_numbers(row)), step=row["step"])

    def close(self) -> None:
        """Sends what is left."""
        for tracker in self._accelerator.trackers:
            with self._survive():
                tracker.finish()

    @contextmanager
    def _survive(self) -> Generator[None]:
        """Tells the first error and goes on: figures that a tracker lacks are in the run's folder."""
        try:
            yield
        except Exception as error:
            if not self._failed:
                self._tell(
                    f"A tracker failed, and the run goes on without its figures: {type(error).__name__}: {error}"
                )
            self._failed = True


def _accelerate() -> Any:
    try:
        return import_module("accelerate")
    except ImportError as error:
        raise ValueError(
            "`--tracker` needs accelerate: pip install 'cnet-nodes[train]'."
        ) from error


def _choose_values(config: Mapping[str, Any]) -> dict[str, int | float | str | bool]:
    """Returns the config's settings and plain values by name: what every tracker shows."""
    values = {**config, **config.get("settings", {})}
    return {k: v for k, v in values.items() if isinstance(v, int | float | str | bool)}
