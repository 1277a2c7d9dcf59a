"""read_entries: the samples of whichever layout a data folder has."""

import os
from collections.abc import Sequence
from pathlib import Path

from . import lists, pairs, tables, tars
from .sample import Entry, Layout, is_file

#: Layouts in which samples are listed or packed, and the one that has no list.
LISTED = (*lists.LAYOUTS, *tables.LAYOUTS, *tars.LAYOUTS)
UNLISTED = pairs.LAYOUTS
#: Folders in which samples are looked for: the data folder itself, and its parts as Hugging Face calls them.
PLACES = ("", "train", "data")

_Found = list[tuple[Layout, Sequence[Path]]]


def read_entries(data: Path, option: str = "--data") -> list[Entry]:
    """Returns the samples of a data folder, or of one list, table or tar file, in their order.

    Args:
        data: the folder or file.
        option: how a message names it.

    Raises:
        ValueError: there is no layout that is known, or more than one; or a list cannot be read.
        PermissionError: no permission to read the folder or its list.
    """
    layout, files = _find_in_file(data) if is_file(data) else _find_in_folder(data, option)
    return [entry for file in files for entry in layout.read(file)]


def _find_in_file(file: Path) -> tuple[Layout, Sequence[Path]]:
    """Returns the layout of a file by its name; its name or its ending decides."""
    for layout in LISTED:
        if layout.find(file.parent, [file.name]):
            return layout, [file]
    raise ValueError(f"{file} is none of: {_names()}.")


def _find_in_folder(folder: Path, option: str) -> tuple[Layout, Sequence[Path]]:
    if not folder.is_dir():
        raise ValueError(f"`{option}` is {folder}, which is not a folder.")
    for place in (folder / name for name in PLACES):
        if not place.is_dir():
            continue
        names = sorted(os.listdir(place))
        found = _find(LISTED, place, names) or _find(UNLISTED, place, names)
        files = [str(file) for _, files in found for file in files]
        if len(found) > 1 or (found and found[0][0] in lists.LAYOUTS and len(files) > 1):
            raise ValueError(
                f"{place} lists samples more than once: {', '.join(files[:3])}. Give one file with `{option}`."
            )
        if found:
            return found[0]
    raise ValueError(f"{folder} holds no samples in a layout that is known: {_names()}.")


def _find(layouts: Sequence[Layout], folder: Path, names: Sequence[str]) -> _Found:
    return [(layout, files) for layout in layouts if (files := layout.find(folder, names))]


def _names() -> str:
    return "; ".join(layout.name for layout in (*LISTED, *UNLISTED))
