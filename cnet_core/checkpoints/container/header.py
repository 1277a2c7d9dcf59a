"""The header of a safetensors file, read without trust: bounded length, every offset checked, no data read."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

#: Longest header that is read. The format allows 100 MB; the longest of real checkpoints are below 1 MB.
MAX_HEADER = 16_000_000
MAX_DIMENSIONS = 8
#: A file starts with the length of its header, in this many bytes.
LENGTH = 8

#: Names of dtypes in the format -> torch's.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class UnreadableFile(ValueError):
    """A file that is no checkpoint or a damaged one; `what` names it."""

    def __init__(self, what: str, message: str) -> None:
        super().__init__(message)
        self.what = what


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a file: its shape, dtype and place."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    start: int = 0  # bytes from the end of the header
    stop: int = 0


@dataclass(frozen=True)
class Header:
    """What a checkpoint says about itself before its data."""

    entries: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]
    data: int = 0  # bytes from the start of the file to the first tensor

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by key."""
        return {key: entry.shape for key, entry in self.entries.items()}


def read_header(path: Path) -> Header:
    """Returns the header of a safetensors file.

    Raises:
        UnreadableFile: it is damaged or not of this format; the message says how.
    """
    with path.open("rb") as file:
        text, data_size = _header_bytes(file, path)
    try:
        values = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError) as error:
        raise _damage_error(path, f"its header is not valid JSON ({_short(error)})") from error
    if not isinstance(values, dict):
        raise _damage_error(path, "its header is not a JSON object")
    values = cast(dict[str, Any], values)
    metadata = _metadata(path, values.pop("__metadata__", {}))
    entries = {key: _entry(path, key, value) for key, value in values.items()}
    _check_layout(path, entries.values(), data_size)
    return Header(entries, metadata, LENGTH + len(text))


def _header_bytes(file: BinaryIO, path: Path) -> tuple[bytes, int]:
    """Returns the header's text and how many bytes follow it."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(LENGTH), "little")
    if size < 10:
        raise _damage_error(path, f"it ends after {size} bytes")
    if not length:
        raise _damage_error(path, "its header is empty; the download probably never started")
    if length > MAX_HEADER:
        raise _damage_error(
            path, f"its header would be {length} bytes long, more than the {MAX_HEADER} allowed"
        )
    if LENGTH + length > size:
        raise _damage_error(
            path, f"its header of {length} bytes is longer than the file ({size} bytes)"
        )
    return file.read(length), size - LENGTH - length


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _metadata(path: Path, values: Any) -> dict[str, str]:
    if not isinstance(values, dict):
        raise _damage_error(path, "its metadata is not a JSON object")
    items = cast(dict[str, Any], values)
    if not all(isinstance(value, str) for value in items.values()):
        raise _damage_error(path, "its metadata holds values that are not text")
    return cast(dict[str, str], items)


def _entry(path: Path, key: str, value: Any) -> TensorEntry:
    fields = cast(dict[str, Any], value) if isinstance(value, dict) else {}
    name, shape, place = (fields.get(k) for k in ("dtype", "shape", "data_offsets"))
    if not isinstance(name, str) or name not in DTYPES:
        raise UnreadableFile(
            "a safetensors file with weights of an unknown kind",
            f"{path}: {_short(key)!r} has the dtype {_short(name)!r}, which is not supported. Use a version in "
            "float32, float16, bfloat16 or fp8.",
        )
    if not _naturals(shape) or len(cast(list[int], shape)) > MAX_DIMENSIONS:
        raise _damage_error(path, f"{_short(key)!r} has the invalid shape {_short(repr(shape))}")
    if not _naturals(place) or len(cast(list[int], place)) != 2:
        raise _damage_error(path, f"{_short(key)!r} has the invalid offsets {_short(repr(place))}")
    dtype, (start, stop) = DTYPES[name], cast(list[int], place)
    need = prod(cast(list[int], shape)) * dtype.itemsize
    if stop - start != need:
        raise _damage_error(path, f"{_short(key)!r} needs {need} bytes and has {stop - start}")
    return TensorEntry(tuple(cast(list[int], shape)), dtype, start, stop)


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(
        type(v) is int and v >= 0 for v in cast(list[Any], values)
    )


def _check_layout(path: Path, entries: Iterable[TensorEntry], data_size: int) -> None:
    """Tensors must follow one another without gap or overlap, and end with the file."""
    end = 0
    for entry in sorted(entries, key=lambda e: (e.start, e.stop)):
        if entry.start != end:
            how = "overlap" if entry.start < end else "leave a gap"
            raise _damage_error(path, f"its tensors {how} at byte {entry.start}")
        end = entry.stop
    if end > data_size:
        raise _damage_error(path, f"{end - data_size} bytes of its data are missing")
    if end < data_size:
        raise _damage_error(path, f"{data_size - end} bytes follow its last tensor")


def _damage_error(path: Path, how: str) -> UnreadableFile:
    return UnreadableFile(
        "a damaged safetensors file",
        f"{path} is not a complete safetensors file: {how}. Download or copy it again.",
    )


def _short(value: object, limit: int = 80) -> str:
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"
