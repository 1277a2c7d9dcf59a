"""A run's figures for TensorBoard, if that is installed."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol


class FiguresView(Protocol):
    """Something outside of the run's folder that shows its figures."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Shows a line of the metrics."""
        ...

    def close(self) -> None:
        """Shows what is left; the run has ended."""
        ...


class Board:
    """Writes the numbers of a run's metrics to `folder`; without tensorboard it does nothing.

    Args:
        folder: the folder that TensorBoard reads.
        step: figures of later steps are removed.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self._writer: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def close(self) -> None:
        """Closes the files."""
        if self._writer is not None:
            self._writer.close()

    def write(self, row: Mapping[str, Any]) -> None:
        """Shows a line of the metrics."""
        if self._writer is not None:
            for name, value in read_numbers(row):
                self._writer.add_scalar(name, value, row["step"])
            self._writer.flush()


def read_numbers(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yields names and numbers of a row, and of rows in it as `name/…`, without the step."""
    for name, value in row.items():
        if isinstance(value, Mapping):
            yield from read_numbers(value, f"{prefix}{name}/")  # pyright: ignore[reportUnknownArgumentType]
        elif isinstance(value, int | float) and name != "step":
            yield prefix + name, float(value)
