"""The parts of the embedded model as files of a run: each one whole, or cut up to come back from a GPU machine."""

import os
from pathlib import Path

from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor

NAMES = ("autoencoder", "classifier", "base", "control_net")
#: What comes back in which file, by the beginnings of PART.KEY; the first that fits has it. None exceeds 16 MiB.
EXPORTED = {
    "parts_decoder": ("base.unet.output_blocks.", "base.unet.out."),
    "parts_encoder": ("base.unet.",),
    "parts_control_net": ("control_net.",),
    "parts_small": ("",),
}


def write_part(folder: Path, name: str, tensors: dict[str, Tensor]) -> None:
    """Writes a part in float16, whole or not at all."""
    half = {k: v.detach().half().contiguous().cpu() for k, v in tensors.items()}
    _write(folder / f"{name}.safetensors", half)


def read_part(folder: Path, name: str) -> dict[str, Tensor] | None:
    """Returns a part of a run's folder, or of a folder that `export_parts` filled; None if it is not there."""
    whole = folder / f"{name}.safetensors"
    if whole.exists():
        return load_file(whole)
    files = [folder / f"{file}.safetensors" for file in EXPORTED]
    every = {k: v for file in files if file.exists() for k, v in load_file(file).items()}
    found = {k.removeprefix(f"{name}."): v for k, v in every.items() if k.startswith(f"{name}.")}
    return found or None


def export_parts(folder: Path, out: Path) -> None:
    """Writes the parts of a run's folder to the files of EXPORTED."""
    every = {
        f"{name}.{k}": v
        for name in NAMES
        if (folder / f"{name}.safetensors").exists()
        for k, v in load_file(folder / f"{name}.safetensors").items()
    }
    for file, prefixes in EXPORTED.items():
        chosen = {k: every.pop(k) for k in list(every) if k.startswith(prefixes)}
        if chosen:
            _write(out / f"{file}.safetensors", chosen)


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    new = path.with_suffix(".new")
    save_file(tensors, new)
    os.replace(new, path)
