"""PyTorch's own files (.pth, .ckpt, .bin): tensors in the memory map; pickles are data, so nothing in them runs."""

import mmap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .header import Header, TensorEntry, UnreadableFile
from .pickle_names import Storage, StoredTensor
from .places import Part
from .unpickle import MAX_PICKLE, ForeignObjects, unpickle

#: The values that files from before PyTorch 1.6 start with, each in its own pickle.
OLD_MAGIC, OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001
#: Bytes of a zip entry's header before its name.
ZIP_HEADER = 30
#: Keys under which training programs put each model.
PARTS: Mapping[Part, tuple[str, ...]] = {
    "controlnet": ("controlnet", "control_model", "control_net"),
    "unet": ("unet",),
}
#: Keys under which they put all weights, or those of their only model.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "module"),
    *("net", "params", "params_ema", "weights"),
)
#: How deeply they may be nested.
MOST_WRAPPERS = 3


@dataclass(frozen=True)
class Place:
    """Where a storage's numbers are in the file."""

    start: int
    stop: int


def read_pickle(path: Path, part: Part = "controlnet") -> dict[str, Tensor]:
    """Returns the tensors of a PyTorch file; they stay in the memory map until they are used.

    Args:
        path: the file.
        part: which model to take from a file with several.

    Raises:
        UnreadableFile: it is damaged, holds objects other than tensors, or no tensors.
    """
    read = _read_zip if _is_zip(path) else _read_old
    with path.open("rb") as file:
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    try:
        values, places = read(path, data)
        return _map_tensors(data, places, _tensors(path, values, part))
    except ForeignObjects as error:
        raise _with_code(path, error.names) from error
    except UnreadableFile:
        raise
    except Exception as error:  # zipfile, pickletools and torch raise errors of all kinds
        raise _damage_error(path) from error


def pickle_header(path: Path, part: Part = "controlnet") -> Header:
    """Returns shapes and dtypes of a PyTorch file without reading its data."""
    tensors = read_pickle(path, part)
    return Header({k: TensorEntry(tuple(v.shape), v.dtype) for k, v in tensors.items()}, {})


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile as error:  # which some damaged files cause
        raise _damage_error(path) from error


def _read_zip(path: Path, data: mmap.mmap) -> tuple[Any, dict[str, Place]]:
    """Returns what an archive holds, and the place of each storage.

    Raises unless everything is stored uncompressed and the pickle has a sane size: no archive may unpack to more.
    """
    with zipfile.ZipFile(path) as archive:
        members = {m.filename: m for m in archive.infolist()}
        names = [name for name in members if name.endswith("/data.pkl")]
        if any(m.compress_type != zipfile.ZIP_STORED for m in members.values()) or not names:
            raise UnreadableFile(
                "a zip archive",
                f"{path} is a zip archive, but not one that PyTorch wrote; unpack it first.",
            )
        root = names[0].removesuffix("data.pkl")
        order = members.get(f"{root}byteorder")
        if members[names[0]].file_size > MAX_PICKLE:
            raise _damage_error(path)
        if order is not None and archive.read(order) != b"little":
            raise _big_endian_error(path)
        values = unpickle(BytesIO(archive.read(names[0])))
    folder = f"{root}data/"
    return values, {
        name.removeprefix(folder): _zip_place(data, member)
        for name, member in members.items()
        if name.startswith(folder)
    }


def _zip_place(data: mmap.mmap, member: zipfile.ZipInfo) -> Place:
    header = data[member.header_offset : member.header_offset + ZIP_HEADER]
    if not header.startswith(b"PK\x03\x04"):
        raise ValueError("no entry begins here")
    name, extra = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = member.header_offset + ZIP_HEADER + name + extra
    return Place(start, start + member.file_size)


def _read_old(path: Path, data: mmap.mmap) -> tuple[Any, dict[str, Place]]:
    """Returns what a file from before PyTorch 1.6 holds, and the place of each storage."""
    if unpickle(data) != OLD_MAGIC or unpickle(data) != OLD_VERSION:
        raise _damage_error(path)
    if not unpickle(data)["little_endian"]:
        raise _big_endian_error(path)
    storages: dict[str, Storage] = {}
    values = unpickle(data, storages)
    places: dict[str, Place] = {}
    for key in unpickle(data):
        count = int.from_bytes(data.read(8), "little")
        start = data.tell()
        places[key] = Place(start, start + count * storages[key].dtype.itemsize)
        data.seek(places[key].stop)
    return values, places


def _map_tensors(
    data: mmap.mmap, places: Mapping[str, Place], tensors: Mapping[str, StoredTensor]
) -> dict[str, Tensor]:
    """Returns tensors that share their storages as when they were saved."""
    storages = {t.storage.key: _numbers(data, places[t.storage.key]) for t in tensors.values()}
    return {key: _view(storages[t.storage.key], t) for key, t in tensors.items()}


def _numbers(data: mmap.mmap, place: Place) -> Tensor:
    """Returns the bytes of a storage."""
    if not 0 <= place.start <= place.stop <= len(data):
        raise ValueError("the storage is cut off")
    size = place.stop - place.start
    if not size:
        return torch.empty(0, dtype=torch.uint8)
    if place.start % 8:  # old files do not align numbers
        return torch.frombuffer(bytearray(data[place.start : place.stop]), dtype=torch.uint8)
    return torch.frombuffer(data, dtype=torch.uint8, count=size, offset=place.start)


def _view(numbers: Tensor, tensor: StoredTensor) -> Tensor:
    """Returns a tensor of a storage; torch refuses one that reaches beyond it."""
    whole = numbers.view(tensor.dtype)
    start = tensor.storage.start * tensor.storage.dtype.itemsize // tensor.dtype.itemsize
    return whole.as_strided(tensor.shape, tensor.stride, start + tensor.offset)


def _tensors(path: Path, values: Any, part: Part) -> dict[str, StoredTensor]:
    others = tuple(key for other in PARTS for key in PARTS[other] if other != part)
    keys = (*PARTS[part], *WRAPPERS)
    found = _unwrap(values, keys) or _unwrap(values, others + keys)
    if not found:
        raise UnreadableFile(
            "a PyTorch file without tensors",
            f"{path} holds no named tensors, so it is not a model.",
        )
    return found


def _unwrap(values: Any, keys: Sequence[str]) -> dict[str, StoredTensor]:
    """Returns the tensors of the outermost level, or those under the first key that holds more of them.

    A level may hold itself, or stand under many keys; each is looked at once a depth.
    """
    known: dict[tuple[int, int], dict[str, StoredTensor]] = {}

    def search(values: Any, depth: int) -> dict[str, StoredTensor]:
        own = _weights(values)
        if not depth or not isinstance(values, dict):
            return own
        level = cast(dict[str, Any], values)
        inner = (look(level[key], depth - 1) for key in keys if key in level)
        return next((found for found in inner if len(found) > len(own)), own)

    def look(values: Any, depth: int) -> dict[str, StoredTensor]:
        key = (id(values), depth)
        if key not in known:
            known[key] = search(values, depth)
        return known[key]

    return look(values, MOST_WRAPPERS)


def _weights(values: Any) -> dict[str, StoredTensor]:
    """Returns the tensors of a dictionary, or nothing for other values."""
    if not isinstance(values, dict):
        return {}
    items = cast(dict[str, Any], values).items()
    return {key: value for key, value in items if isinstance(value, StoredTensor)}


def _with_code(path: Path, objects: Sequence[str]) -> UnreadableFile:
    shown = ", ".join(repr(name[:80]) for name in objects[:3])
    names = f" ({shown}{' …' if objects[3:] else ''})" if objects else ""
    return UnreadableFile(
        "a PyTorch file with code in it",
        f"{path} holds more than tensors{names} and could run code when opened, so it is not loaded. Use its "
        ".safetensors version, or ask its author to save only the weights.",
    )


def _big_endian_error(path: Path) -> UnreadableFile:
    return UnreadableFile(
        "a PyTorch file of a big-endian machine",
        f"{path} was saved on a big-endian machine, which is not supported. Use its .safetensors version.",
    )


def _damage_error(path: Path) -> UnreadableFile:
    return UnreadableFile(
        "a damaged PyTorch file",
        f"{path} is not a complete PyTorch file. Download or copy it again.",
    )
