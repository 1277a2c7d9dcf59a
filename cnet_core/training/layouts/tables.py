"""Tables with encoded pictures: Parquet files, and folders that `datasets` wrote by save_to_disk; needs pyarrow.

A picture is a cell with its bytes, with a file name, or, as `datasets` stores it, with both.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from .sample import COLUMNS, Entry, Item, Layout, Listed, Stored, StoredFile, find_by_name

NEEDED = "Reading {} needs pyarrow 15 or newer: pip install 'cnet-nodes[parquet]'."
#: Older versions of pyarrow could be made to run code by a file (CVE-2023-47248).
OLDEST = 15
#: Where `datasets` lists the files of a folder.
STATE = "state.json"

Cells = dict[str, Any]


class PictureTable(Protocol):
    """A table on disk."""

    path: Path
    is_cheap: bool  # whether a row can be read without its neighbours

    def __len__(self) -> int: ...

    def row(self, index: int) -> Cells:
        """Returns the cells of a row by the names of COLUMNS; one that the table lacks is missing."""
        ...


@dataclass(frozen=True)
class Cell:
    """A picture that is a cell of a table."""

    table: PictureTable
    index: int
    column: str

    @property
    def path(self) -> Path:
        """The table's path, followed by row and column."""
        return self.table.path / f"row {self.index + 1}" / self.column

    @property
    def is_cheap(self) -> bool:
        """Whether a read takes no more than the row."""
        return self.table.is_cheap

    def read(self) -> bytes:
        """Returns the bytes in the cell."""
        value = self.table.row(self.index)[self.column]
        return value if isinstance(value, bytes) else cast(Cells, value)["bytes"]


@dataclass(frozen=True)
class TableRow:
    """One sample of a table; its cells are read when it is asked for."""

    table: PictureTable
    index: int

    def item(self, *, needs_hint: bool) -> Item:
        """Returns the sample of the row."""
        table = self.table
        place = f"row {self.index + 1} of {table.path.name}"
        cells = table.row(self.index)
        values = {name: self._value(name, cell, place) for name, cell in cells.items()}
        found = {name: value for name, value in values.items() if value is not None}
        return Listed(place, table.path.parent, found).item(needs_hint=needs_hint)

    def _value(self, name: str, cell: object, place: str) -> str | Stored | None:
        """Returns a text or a picture; None of an empty cell."""
        if cell is None or isinstance(cell, str):
            return cell
        cell = cast(Cells, cell) if isinstance(cell, dict) else {"bytes": cell}
        if isinstance(cell.get("bytes"), bytes):
            return Cell(self.table, self.index, name)
        path: object = cell.get("path")
        if isinstance(path, str):
            return StoredFile(self.table.path.parent / path)
        raise ValueError(f"{place} holds neither encoded bytes nor a file name in its {name!r}")


class ParquetTable:
    """A Parquet file. The group of rows that was read last is kept, so reading row by row is quick."""

    is_cheap = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = _open_whole(path, "Parquet", lambda: _arrow("parquet").ParquetFile(str(path)))
        self._columns = _columns(path, self._file.schema_arrow.names)
        counts = [
            self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)
        ]
        self._groups = [(group, row) for group, n in enumerate(counts) for row in range(n)]
        self._group, self._rows = -1, cast(Any, None)

    def __len__(self) -> int:
        return len(self._groups)

    def row(self, index: int) -> Cells:
        group, row = self._groups[index]
        if group != self._group:
            try:
                self._rows = self._file.read_row_group(group, columns=self._columns)
            except OSError as error:
                raise ValueError(f"{self.path} is damaged at row {index + 1}: {error}") from error
            self._group = group
        return self._rows.slice(row, 1).to_pylist()[0]


class ArrowTable:
    """An Arrow file of `datasets`, which stays on the disk: the system loads what is read of it."""

    is_cheap = True

    def __init__(self, path: Path) -> None:
        self.path = path
        arrow = _arrow()
        whole = _open_whole(
            path, "Arrow", lambda: arrow.ipc.open_stream(arrow.memory_map(str(path))).read_all()
        )
        self._rows = whole.select(_columns(path, whole.schema.names))

    def __len__(self) -> int:
        return self._rows.num_rows

    def row(self, index: int) -> Cells:
        return self._rows.slice(index, 1).to_pylist()[0]


def read_parquet(path: Path) -> list[Entry]:
    """Returns the samples of a Parquet file.

    Raises:
        ValueError: pyarrow is missing, or the file is damaged or has other columns.
    """
    return _rows(ParquetTable(path))


def read_arrow(state: Path) -> list[Entry]:
    """Returns the samples of a folder that `datasets` wrote, by its list of files.

    Raises:
        ValueError: pyarrow is missing, or a file is damaged or has other columns.
    """
    try:
        values = json.loads(state.read_bytes())
        names = [Path(file["filename"]).name for file in values["_data_files"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{state} does not list the files of a data set: {error}.") from error
    return [row for name in names for row in _rows(ArrowTable(state.parent / name))]


def find_parquet(folder: Path, names: Sequence[str]) -> list[Path]:
    """Returns a folder's Parquet files; of several splits, those to train on."""
    files = [name for name in names if name.lower().endswith(".parquet")]
    train = [name for name in files if name.startswith("train")]
    return [folder / name for name in train or files]


def _rows(table: PictureTable) -> list[Entry]:
    return [TableRow(table, index) for index in range(len(table))]


def _columns(path: Path, names: Sequence[str]) -> list[str]:
    """Returns the columns that are read: of each kind the first that the table has."""
    found = [next((n for n in kind if n in names), None) for kind in COLUMNS]
    if found[0] is None or found[2] is None:
        raise ValueError(
            f"{path} has the columns {', '.join(names)}; pictures are expected in {COLUMNS[0][0]!r}, hints in "
            f"{COLUMNS[1][0]!r} and prompts in {COLUMNS[2][0]!r}."
        )
    return [name for name in found if name is not None]


def _open_whole(path: Path, kind: str, reader: Callable[[], Any]) -> Any:
    """Returns what the reader opens; raises ValueError if the file is damaged."""
    try:
        return reader()
    except PermissionError:
        raise
    except (_arrow().ArrowException, OSError) as error:
        first = str(error).strip().splitlines()[:1]
        raise ValueError(f"{path} is no whole {kind} file: {''.join(first)}.") from error


def _arrow(part: str = "") -> Any:
    """Returns pyarrow, or a module of it; raises ValueError if it is missing or unsafe."""
    try:
        arrow = import_module("pyarrow")
    except ImportError as error:
        raise ValueError(NEEDED.format("these tables")) from error
    if int(arrow.__version__.split(".")[0]) < OLDEST:
        raise ValueError(NEEDED.format("these tables"))
    return import_module(f"pyarrow.{part}") if part else arrow


LAYOUTS = (
    Layout("Parquet files (image, conditioning_image, text)", find_parquet, read_parquet),
    Layout("a folder by save_to_disk of `datasets`", find_by_name(STATE), read_arrow),
)
