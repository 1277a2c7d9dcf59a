"""Checks where a command writes before it starts, so that no work is lost."""

from pathlib import Path

from ..checkpoints.container.files import check_place

SUFFIX = ".safetensors"


def check_file(name: str) -> None:
    """Raises unless a safetensors file can be written there, with the usual ending.

    Raises:
        ValueError: another ending. OSError: no such folder, or no permission to write there.
    """
    if Path(name).suffix != SUFFIX:
        raise ValueError(f"OUT is {name}; its name must end with {SUFFIX}.")
    check_place(Path(name))


def check_file_or_folder(name: str) -> None:
    """The same for a diffusers folder or its weights alone."""
    path = Path(name)
    folder = path.suffix != SUFFIX
    if folder and path.is_file():
        raise ValueError(f"OUT is {name}, which is a file; give a folder or a {SUFFIX} file.")
    check_place(path / "config.json" if folder and path.is_dir() else path)
