"""Safetensors files: tensors out of the memory map, and atomic, streamed writing."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .header import DTYPES, UnreadableFile

#: Called with (tensors written, tensors in all) while a file is written.
Progress = Callable[[int, int], None]


def read_tensors(
    path: str | Path, keys: Iterable[str] | None = None
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns tensors (`keys`, or all) and the metadata of a safetensors file; the data stays in the memory map.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not a safetensors file, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            wanted = cast(list[str], file.keys()) if keys is None else list(keys)
            tensors = {key: cast(Tensor, file.get_tensor(key)) for key in wanted}
            return tensors, cast(dict[str, str], file.metadata() or {})
    except SafetensorError as error:
        raise UnreadableFile(
            "a damaged safetensors file",
            f"{path} is not a whole safetensors file ({error}); download it again.",
        ) from error


def write_tensors(
    tensors: Mapping[str, Tensor],
    path: str | Path,
    metadata: Mapping[str, str],
    progress: Progress | None = None,
) -> None:
    """Writes a safetensors file atomically, tensor by tensor: a crash or a full disk leaves what was there before."""
    with_names = sorted(tensors.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))

    def write(file: BinaryIO) -> None:
        file.write(_header(dict(with_names), metadata))
        for index, (_, tensor) in enumerate(with_names, start=1):
            file.write(_bytes(tensor))
            if progress is not None:
                progress(index, len(with_names))

    write_atomically(Path(path), write)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Lets `write` fill a file beside `path` and puts it in place when it is whole and on the disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's own mode would hide the file from others
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Returns the length and the JSON of a header, padded with spaces to 8 bytes."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    fields: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for key, tensor in tensors.items():
        if tensor.dtype not in names:
            raise ValueError(f"{key!r} is {tensor.dtype}, which a safetensors file cannot hold.")
        start, end = end, end + tensor.numel() * tensor.dtype.itemsize
        fields[key] = {
            "dtype": names[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return cast(Any, flat.view(torch.uint8).numpy()).data
