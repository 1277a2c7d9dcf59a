"""A checkpoint on disk, of whatever container: its header at once, its tensors when asked for."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .files import mapped_tensors
from .header import MAX_HEADER, Header, UnreadableFile, read_header
from .pickles import pickle_header, read_pickle

#: Names of the weights in a diffusers folder, best first.
FOLDER_FILES = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.fp16.safetensors",
    "diffusion_pytorch_model.bin",
    "diffusion_pytorch_model.fp16.bin",
)
#: Beginnings of files that are something else: (first bytes, what it is, what to do).
IMPOSTORS = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    (b"<", "an HTML page", "download the file itself, not the page that shows it"),
    (b"GGUF", "a GGUF file", "get the .safetensors version"),
)
#: Characters of text that are not printed.
WHITE = dict.fromkeys(map(ord, "\t\n\r"), " ")
#: Beginnings of PyTorch's files: zip archives, and pickles of protocol 2 and later.
PICKLES = (b"PK\x03\x04", b"\x80")


@dataclass(frozen=True)
class Source:
    """A checkpoint: where it is, what its header says, and how to get its tensors."""

    path: Path
    header: Header
    size: int  # bytes
    safetensors: bool
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])  # a diffusers config.json

    def tensors(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """Returns some of its tensors, in the memory map where there is one."""
        if self.safetensors:
            return mapped_tensors(self.path, self.header, keys)
        found = read_pickle(self.path)
        return {key: found[key] for key in keys}


def open_source(path: str | Path) -> Source:
    """Returns the checkpoint of a file, or of a diffusers folder.

    Raises:
        FileNotFoundError: no such path. PermissionError: it may not be read.
        UnreadableFile: it is empty, damaged, something else, or a folder without weights.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    config: Mapping[str, Any] = {}
    if path.is_dir():
        config, path = _folder_config(path / "config.json"), _folder_weights(path)
    if not path.is_file():
        raise UnreadableFile("no file", f"{path} is neither a file nor a folder.")
    safetensors = _is_safetensors(path)
    read: Callable[[Path], Header] = read_header if safetensors else pickle_header
    return Source(path, read(path), path.stat().st_size, safetensors, config)


def _is_safetensors(path: Path) -> bool:
    """Whether a file is to be read as safetensors, not as PyTorch's; raises for what is neither.

    A safetensors file begins with the length of its header, which may be any eight bytes, and then a brace.
    """
    with path.open("rb") as file:
        start = file.read(64)
    if start[8:9] == b"{":
        return True
    if not start:
        raise UnreadableFile("an empty file", f"{path} is empty. Download or copy it again.")
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    for mark, what, advice in IMPOSTORS:
        if text.startswith(mark):
            raise UnreadableFile(what, f"{path} is {what}, not a checkpoint; {advice}.")
    if text.isascii() and text.decode().translate(WHITE).isprintable():
        said = " ".join(text.decode().split())
        raise UnreadableFile(
            "a text file",
            f"{path} is a text file that begins with {said!r}, not a checkpoint; download the file itself.",
        )
    return not start.startswith(PICKLES)


def _folder_weights(folder: Path) -> Path:
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise UnreadableFile(
        "a folder without weights",
        f"{folder} is a folder without {FOLDER_FILES[0]}; give the checkpoint file, or a diffusers folder.",
    )


def _folder_config(path: Path) -> Mapping[str, Any]:
    if not path.is_file() or path.stat().st_size > MAX_HEADER:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            "a folder with a damaged config", f"{path} is not valid JSON; download it again."
        ) from error
    return cast(Mapping[str, Any], values) if isinstance(values, dict) else {}


def quantised(source: Source, keys: Iterable[str]) -> str | None:
    """Returns what is wrong with weights of whole numbers, which only another tool reads; None where there are none."""
    dtypes = {source.header.entries[key].dtype for key in keys}
    whole = sorted(dtype_name(d) for d in dtypes if not d.is_floating_point)
    if not whole:
        return None
    return (
        f"Some weights are {', '.join(whole)}, which no ControlNet and no UNet has: the file was quantised by another "
        "tool; take the original."
    )


def check_floating(source: Source, keys: Iterable[str]) -> None:
    """Raises ValueError where some of these weights are whole numbers."""
    problem = quantised(source, keys)
    if problem:
        raise ValueError(f"{source.path} is not loaded. {problem}")


def dtype_name(dtype: torch.dtype) -> str:
    """Returns 'float16' for torch.float16."""
    return str(dtype).removeprefix("torch.")
