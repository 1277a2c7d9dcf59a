"""What a layout gives: entries, each of which names a picture, its hint and its prompt, or turns out to be bad."""

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Names of the columns with (picture, hint, prompt); of each, the first one that a sample has counts.
Columns = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

#: The columns' names in Hugging Face's data sets.
COLUMNS: Columns = (
    ("image", "file_name", "image_file_name"),
    ("conditioning_image", "conditioning_image_file_name"),
    ("text", "prompt", "caption"),
)


class Stored(Protocol):
    """An encoded picture (PNG, JPEG …): a file, or a part of one."""

    @property
    def path(self) -> Path:
        """Where it is; of a part, as if its file were a folder."""
        ...

    @property
    def is_cheap(self) -> bool:
        """Whether a read takes no more than its own bytes from the disk."""
        ...

    def read(self) -> bytes:
        """Returns the encoded bytes; raises ValueError if they are missing."""
        ...


@dataclass(frozen=True)
class StoredFile:
    """A picture that is a file of its own."""

    path: Path
    is_cheap = True

    def read(self) -> bytes:
        """Returns the file's bytes; raises ValueError if it is missing, or without permission to read it."""
        try:
            if not is_file(self.path):
                raise ValueError(f"{self.path} is missing")
            return self.path.read_bytes()
        except PermissionError as error:
            raise ValueError(f"there is no permission to read {self.path}") from error


@dataclass(frozen=True)
class Item:
    """One sample on disk."""

    picture: Stored
    hint: Stored | None  # None: the sample names none, so it is made from the picture
    prompt: str
    picture_digest: str = ""  # of the encoded bytes
    hint_digest: str = ""


class Entry(Protocol):
    """One sample as its layout lists it."""

    def item(self, *, needs_hint: bool) -> Item:
        """Returns the sample; raises ValueError if there is none, or no hint where one is needed."""
        ...


@dataclass(frozen=True)
class Listed:
    """Values by column name. A picture is the name of a file, or stored in the list itself."""

    place: str  # "line 3 of metadata.jsonl"
    folder: Path  # to which names of files are relative
    values: Mapping[str, str | Stored]
    columns: Columns = COLUMNS

    def item(self, *, needs_hint: bool) -> Item:
        """Returns the sample that the values name."""
        pictures, hints, prompts = self.columns
        picture, hint = self._picture(pictures), self._picture(hints)
        if picture is None:
            raise ValueError(self._lacks(pictures))
        if hint is None and needs_hint:
            raise ValueError(self._lacks(hints))
        return Item(picture, hint, self._prompt(prompts))

    def _picture(self, names: Sequence[str]) -> Stored | None:
        """Returns the picture of the first column that has one; an empty name is none."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str):
                if value:
                    return StoredFile(self.folder / self._check_text(value, name))
            elif value is not None:
                return value
        return None

    def _prompt(self, names: Sequence[str]) -> str:
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str):
                return self._check_text(value, name)
        raise ValueError(self._lacks(names))

    def _lacks(self, names: Sequence[str]) -> str:
        return f"{self.place} has no text named {names[0]!r}"

    def _check_text(self, text: str, name: str) -> str:
        """Returns a text that files and text encoders take."""
        if "\0" in text:
            raise ValueError(f"{self.place} has a null character in its {name!r}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"{self.place} has half a surrogate pair in its {name!r}") from error
        return text


@dataclass(frozen=True)
class Unusable:
    """An entry that names no sample."""

    reason: str

    def item(self, *, needs_hint: bool) -> Item:
        """Raises ValueError with the reason."""
        raise ValueError(self.reason)


@dataclass(frozen=True)
class Layout:
    """One way to lay out samples on disk."""

    name: str  # as an error lists it
    find: Callable[
        [Path, Sequence[str]], Sequence[Path]
    ]  # (folder, names in it) -> its files there
    read: Callable[[Path], list[Entry]]  # one of those files -> its samples in their order


def find_by_name(*names: str) -> Callable[[Path, Sequence[str]], Sequence[Path]]:
    """Returns a finder of the files that are called so."""
    return lambda folder, found: [folder / name for name in names if name in found]


def is_file(path: Path) -> bool:
    """As Path.is_file, which from Python 3.14 on returns False without permission to look."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
