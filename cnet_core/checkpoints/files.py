"""Reading and writing safetensors files: the header alone, the tensors, and atomic writes."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor


def read_tensors(path: str | Path, device: str = "cpu") -> tuple[dict[str, Tensor], dict[str, str]]:
    """Returns the tensors and the metadata of a safetensors file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it is not a safetensors file, or a damaged one.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        with safe_open(path, framework="pt", device=device) as file:  # pyright: ignore[reportUnknownVariableType]
            keys = cast(list[str], file.keys())
            return {key: file.get_tensor(key) for key in keys}, cast(
                dict[str, str], file.metadata() or {}
            )
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a whole safetensors file ({error}); download it again."
        ) from error


def write_tensors(
    tensors: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]
) -> None:
    """Writes a safetensors file atomically: a crash or a full disk leaves what was there before."""
    path = Path(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file({k: v.contiguous() for k, v in tensors.items()}, name, dict(metadata))
        os.chmod(name, 0o644)  # mkstemp's own mode would hide the file from others
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
