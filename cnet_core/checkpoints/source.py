"""A checkpoint on disk in any container: reads its header at once, its tensors on request."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .container.files import map_tensors
from .container.header import Header, UnreadableFile, read_header
from .container.pickles import pickle_header, read_pickle
from .container.places import Part, is_index, is_shard, weights_path
from .container.shards import shard_names
from .diffusers_config import config_at, config_beside
from .wrappers import plain_names

#: First bytes of files that are something else: (bytes, what it is, what to do).
IMPOSTORS = (
    (b"version https://git-lfs", "a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    (b"<", "an HTML page", "download the file itself, not the page that shows it"),
    (b"GGUF", "a GGUF file", "get the .safetensors version"),
)
#: Tools that quantise weights, and how their additional keys end.
QUANTISERS = (
    ("bitsandbytes", (".absmax", ".quant_map", ".SCB", "__nf4", "__fp4")),
    ("ComfyUI (scaled fp8)", ("scaled_fp8", ".scale_weight", ".weight_scale", ".comfy_quant")),
    ("GPTQ or AWQ", (".qweight", ".qzeros")),
)
#: Characters of text that are not printable.
WHITE = dict.fromkeys(map(ord, "\t\n\r"), " ")
#: First bytes of PyTorch's files: zip archives, and pickles of protocol 2 and later.
PICKLES = (b"PK\x03\x04", b"\x80")


@dataclass(frozen=True, eq=False)
class Shard:
    """One file of a checkpoint, usually the only one."""

    path: Path
    header: Header
    safetensors: bool
    part: Part

    def tensors(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """Returns some of its tensors, in the memory map if there is one."""
        if self.safetensors:
            return map_tensors(self.path, self.header, keys)
        found = read_pickle(self.path, self.part)
        return {key: found[key] for key in keys}


@dataclass(frozen=True)
class WeightsSource:
    """A checkpoint: where it is, what its headers say, and how to get its tensors.

    Its keys are the file's, without the parts of torch.compile, DDP and FSDP.
    """

    path: Path  # the file, or the index of the shards
    shards: tuple[Shard, ...]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])  # a diffusers config.json
    notes: tuple[str, ...] = ()

    @cached_property
    def header(self) -> Header:
        """Entries of all shards by plain key, and their metadata."""
        entries = {key: shard.header.entries[old] for key, (shard, old) in self._places.items()}
        metadata = {k: v for shard in self.shards for k, v in shard.header.metadata.items()}
        return Header(entries, metadata)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(shard.path.stat().st_size for shard in self.shards)

    def tensors(self, keys: Iterable[str]) -> dict[str, Tensor]:
        """Returns some of its tensors, in the memory map if there is one."""
        wanted: dict[Shard, dict[str, str]] = {shard: {} for shard in self.shards}
        for key in keys:
            shard, old = self._places[key]
            wanted[shard][old] = key
        found: dict[str, Tensor] = {}
        for shard, names in wanted.items():
            found |= {names[old]: tensor for old, tensor in shard.tensors(names).items()}
        return found

    @cached_property
    def _places(self) -> dict[str, tuple[Shard, str]]:
        """Plain key -> shard, and key in it."""
        homes = {key: shard for shard in self.shards for key in shard.header.entries}
        return {plain: (homes[key], key) for plain, key in plain_names(homes).items()}


def open_source(path: str | Path, part: Part = "controlnet") -> WeightsSource:
    """Returns the checkpoint of a file, or of a folder.

    Args:
        path: a file, an index of shards, a folder of diffusers or of a training run, a pipeline, or a model in Hugging
            Face's cache.
        part: which model of a pipeline.

    Raises:
        FileNotFoundError: no such path. PermissionError: no permission to read it.
        UnreadableFile: it is empty, damaged, something else, or a folder without weights.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"There is no file {path}.")
    file = weights_path(path, part)
    if not file.is_file():
        raise UnreadableFile("no file", f"{file} is neither a file nor a folder.")
    shards = _shards(file, part)
    if path.is_dir():
        return WeightsSource(file, shards, config_at(file.parent / "config.json"))
    found = WeightsSource(file, shards)
    config, notes = config_beside(file, found.header.shapes)
    return WeightsSource(file, shards, config, notes)


def _shards(file: Path, part: Part) -> tuple[Shard, ...]:
    if is_index(file):
        named = shard_names(file)
        shards = tuple(_shard(file.parent / name, part) for name in named)
        _check_whole(file, named, shards)
        return shards
    if is_shard(file):
        raise UnreadableFile(
            "one part of a checkpoint",
            f"{file} is one of several parts of a checkpoint; give the folder that holds all of them and their index.",
        )
    return (_shard(file, part),)


def _shard(path: Path, part: Part) -> Shard:
    safetensors = _is_safetensors(path)
    header = read_header(path) if safetensors else pickle_header(path, part)
    return Shard(path, header, safetensors, part)


def _check_whole(
    index: Path, named: Mapping[str, Collection[str]], shards: Sequence[Shard]
) -> None:
    """Raises UnreadableFile unless each shard holds what the index says, and no key is in two of them."""
    have: set[str] = set()
    for shard in shards:
        keys = shard.header.entries.keys()
        lost = sorted(set(named[shard.path.name]) - keys)
        twice = sorted(have & keys)
        if lost or twice:
            how = f"lacks {lost[0][:80]!r}" if lost else f"repeats {twice[0][:80]!r}"
            raise UnreadableFile(
                "a sharded checkpoint that does not fit its index",
                f"{shard.path} {how}, which contradicts {index.name}; download the whole folder again.",
            )
        have |= keys


def _is_safetensors(path: Path) -> bool:
    """Whether to read a file as safetensors rather than PyTorch's; raises if it is neither.

    A safetensors file starts with the length of its header, which may be any eight bytes, and then a brace.
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


def find_quantisation(source: WeightsSource, keys: Iterable[str]) -> str | None:
    """Returns what is wrong with weights that only another tool reads; None if there are none."""
    for name, parts in QUANTISERS:
        if any(key.endswith(part) for key in source.header.entries for part in parts):
            return f"Its weights were quantised by {name}, which is not supported; use the original file."
    dtypes = {source.header.entries[key].dtype for key in keys}
    whole = sorted(dtype_name(d) for d in dtypes if not d.is_floating_point)
    if not whole:
        return None
    return (
        f"Some weights are {', '.join(whole)}, which no ControlNet and no UNet has: the file was quantised by another "
        "tool; use the original file."
    )


def check_floating(source: WeightsSource, keys: Iterable[str]) -> None:
    """Raises ValueError if some of these weights are quantised."""
    problem = find_quantisation(source, keys)
    if problem:
        raise ValueError(f"{source.path} cannot be loaded. {problem}")


def dtype_name(dtype: torch.dtype) -> str:
    """Returns 'float16' for torch.float16."""
    return str(dtype).removeprefix("torch.")
