"""PyTorch's own files (.pth, .ckpt, .bin): read with `weights_only`, so that nothing in them can run."""

import errno
import mmap
import pickle
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from .header import Entry, Header, UnreadableFile
from .stand_ins import foreign_objects, harmless_globals

#: Longest description of tensors inside a file that is read; real ones are below 1 MB.
MAX_PICKLE = 64_000_000
#: What torch allows in a pickle and makes any amount of memory on the file's word; no checkpoint needs it.
HUNGRY = b"bytearray"
#: Keys under which training programs put the weights.
WRAPPERS = (
    *(
        "controlnet",
        "control_model",
        "control_net",
        "state_dict",
        "model_state_dict",
        "model",
        "module",
    ),
    *("net", "params", "params_ema", "weights", "unet"),
)
#: So many of them may be one in another.
MOST_WRAPPERS = 3


def read_pickle(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Returns the tensors of a PyTorch file; large ones stay in the memory map until they are used.

    Raises:
        UnreadableFile: it is damaged, would run code, or holds no tensors.
    """
    zipped = _is_zip(path)
    try:
        if HUNGRY in _zipped_pickle(path) if zipped else _file_holds(path, HUNGRY):
            raise _with_code(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals(harmless_globals()):
            warnings.simplefilter("ignore")  # torch's notes on old formats are of no use here
            values = torch.load(path, map_location=device, weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        raise _with_code(path, foreign_objects(path) if zipped else ()) from error
    except UnreadableFile:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # which is a place that a damaged file names
            raise
        raise _damaged(path) from error
    except Exception as error:  # torch and zipfile raise whatever the bytes lead them into
        raise _damaged(path) from error
    return _tensors(path, values)


def pickle_header(path: Path) -> Header:
    """Returns shapes and dtypes of a PyTorch file without reading its data."""
    device = "meta" if _is_zip(path) else "cpu"
    tensors = read_pickle(path, device)
    return Header({k: Entry(tuple(v.shape), v.dtype) for k, v in tensors.items()}, {})


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile as error:  # which it raises for some of the damaged
        raise _damaged(path) from error


def _file_holds(path: Path, words: bytes) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(words) >= 0


def _zipped_pickle(path: Path) -> bytes:
    """Returns what an archive holds besides the data.

    Raises unless all is stored as it is and the pickle is of a sane size: no archive may unpack to more.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        pickles = [m for m in members if m.filename.endswith(".pkl")]
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or not pickles:
            raise UnreadableFile(
                "a zip archive",
                f"{path} is a zip archive, but not one that PyTorch wrote; unpack it first.",
            )
        if sum(m.file_size for m in pickles) > MAX_PICKLE:
            raise _damaged(path)
        return b"".join(archive.read(m) for m in pickles)


def _tensors(path: Path, values: Any) -> dict[str, Tensor]:
    for _ in range(MOST_WRAPPERS):
        if isinstance(values, Mapping):
            inner = [v for k in WRAPPERS if isinstance(v := values.get(k), Mapping)]  # pyright: ignore[reportUnknownVariableType]
            values = inner[0] if inner else values  # pyright: ignore[reportUnknownVariableType]
    found = (
        {k: v for k, v in cast(Mapping[Any, Any], values).items() if _is_weight(k, v)}
        if isinstance(values, Mapping)
        else {}
    )
    if not found:
        raise UnreadableFile(
            "a PyTorch file without tensors", f"{path} holds no named tensors, so no model."
        )
    return cast(dict[str, Tensor], found)


def _is_weight(key: object, value: object) -> bool:
    return isinstance(key, str) and isinstance(value, Tensor) and value.layout == torch.strided


def _with_code(path: Path, objects: Sequence[str] = ()) -> UnreadableFile:
    names = f" ({', '.join(objects[:3])}{' …' if objects[3:] else ''})" if objects else ""
    return UnreadableFile(
        "a PyTorch file with code in it",
        f"{path} holds more than tensors{names} and could run code when opened, so it is not read. Get the "
        ".safetensors version of it; or, if you trust it, save its weights alone: "
        f"torch.save(torch.load({path.name!r}, weights_only=False)['state_dict'], 'weights.pth').",
    )


def _damaged(path: Path) -> UnreadableFile:
    return UnreadableFile(
        "a damaged PyTorch file", f"{path} is not a whole PyTorch file. Download or copy it again."
    )
