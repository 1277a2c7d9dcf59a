"""kohya's layout: a caption as a text file next to each picture, and a folder with a hint for each.

A picture, its caption and its hint share their stem: `cat.jpg`, `cat.txt`, `conditioning/cat.png`.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..picture_formats import picture_endings
from .lists import LINE_END
from .sample import Entry, Layout, Listed, StoredFile, Unusable

#: Folders of hints.
HINT_FOLDERS = ("conditioning", "conditioning_images")
#: Folders of pictures and captions, if they do not lie in the data folder itself.
PICTURE_FOLDERS = ("", "images")
#: Endings of captions.
CAPTIONS = (".txt", ".caption")


def find(folder: Path, names: Sequence[str]) -> Sequence[Path]:
    """Returns the folder in which pictures have captions: `folder`, or the one for pictures in it."""
    places = [folder / name for name in PICTURE_FOLDERS if not name or name in names]
    return [place for place in places if place.is_dir() and _has_pairs(os.listdir(place))][:1]


def read(folder: Path) -> list[Entry]:
    """Returns the samples of a folder, in the order of their stems.

    Raises:
        PermissionError: no permission to read a folder.
    """
    names = _by_stem(os.listdir(folder))
    hints = _hint_folder(folder)
    hint_names = _by_stem([] if hints is None else os.listdir(hints))
    pictures = {stem: found for stem in sorted(names) if (found := _pictures(names[stem]))}
    return [
        _entry(folder, pictures[stem], _captions(names[stem]), hints, hint_names.get(stem, []))
        for stem in pictures
    ]


def _entry(
    folder: Path,
    pictures: Sequence[str],
    captions: Sequence[str],
    hint_folder: Path | None,
    hint_names: Sequence[str],
) -> Entry:
    """Returns the sample of one stem; every file of it must be the only one."""
    hints = _pictures(hint_names)
    for place, names in ((folder, pictures), (folder, captions), (hint_folder, hints)):
        if len(names) > 1:
            return Unusable(f"{', '.join(names)} in {place} share their stem; rename or remove one")
    picture = folder / pictures[0]
    if not captions:
        return Unusable(f"{picture} has no caption {picture.stem}.txt")
    try:
        values = {"text": _caption(folder / captions[0])}
    except ValueError as error:
        return Unusable(str(error))
    stored = {"image": StoredFile(picture)}
    if hint_folder is not None and hints:
        stored["conditioning_image"] = StoredFile(hint_folder / hints[0])
    return Listed(str(picture), folder, {**values, **stored})


def _caption(file: Path) -> str:
    """Returns the one line of a caption file, without white space around it; raises ValueError if there are more."""
    try:
        text = file.read_bytes().decode("utf-8-sig").strip()
    except PermissionError as error:
        raise ValueError(f"there is no permission to read {file}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8") from error
    if LINE_END.search(text):
        raise ValueError(f"{file} has several lines; a caption is one line")
    return text


def _hint_folder(folder: Path) -> Path | None:
    """Returns the folder with hints: in the pictures' one, or next to it."""
    above = (folder.parent,) if folder.name in PICTURE_FOLDERS else ()
    places = [place / name for place in (folder, *above) for name in HINT_FOLDERS]
    return next((place for place in places if place.is_dir()), None)


def _has_pairs(names: Sequence[str]) -> bool:
    return any(_pictures(found) and _captions(found) for found in _by_stem(names).values())


def _by_stem(names: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        found.setdefault(os.path.splitext(name)[0], []).append(name)
    return found


def _pictures(names: Sequence[str]) -> list[str]:
    return [name for name in names if os.path.splitext(name)[1].lower() in picture_endings()]


def _captions(names: Sequence[str]) -> list[str]:
    return [name for name in names if os.path.splitext(name)[1].lower() in CAPTIONS]


LAYOUTS = (Layout("pictures with captions (cat.jpg, cat.txt, conditioning/cat.png)", find, read),)
