"""The index of a sharded checkpoint, read without trust: its names stay inside the folder."""

import json
from pathlib import Path
from typing import Any, cast

from .header import MAX_HEADER, UnreadableFile

#: Longest name of a file, in bytes, that file systems take.
MAX_NAME = 255


def shard_names(index: Path) -> dict[str, list[str]]:
    """Returns the name of each shard -> the keys that the index says it holds.

    Raises:
        UnreadableFile: the index is damaged, or names a place outside its folder or a missing shard.
    """
    shards: dict[str, list[str]] = {}
    for key, name in _weight_map(index).items():
        shards.setdefault(name, []).append(key)
    for name in shards:
        if not _is_file_name(name):
            raise _damage_error(index, f"it names {name[:80]!r}, which is no file of this folder")
        if not (index.parent / name).is_file():
            raise UnreadableFile(
                "a sharded checkpoint that lacks a part",
                f"{index.parent} lacks {name[:80]!r}, a part that {index.name} names; download the whole folder again.",
            )
    return shards


def _is_file_name(name: str) -> bool:
    """Whether a name is a valid file name in this folder on every system."""
    if Path(name).name != name or name in ("", "..") or "\\" in name or not name.isprintable():
        return False
    return len(name.encode()) <= MAX_NAME


def _weight_map(index: Path) -> dict[str, str]:
    if index.stat().st_size > MAX_HEADER:
        raise _damage_error(index, f"it is longer than the {MAX_HEADER} bytes allowed")
    try:
        values: Any = json.loads(index.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise _damage_error(index, "it is not valid JSON") from error
    names: Any = (
        cast(dict[str, Any], values).get("weight_map") if isinstance(values, dict) else None
    )
    if not isinstance(names, dict) or not names:
        raise _damage_error(index, "it has no `weight_map`")
    places = cast(dict[str, Any], names)
    if not all(isinstance(name, str) for name in places.values()):
        raise _damage_error(index, "its `weight_map` holds names that are not text")
    return places


def _damage_error(index: Path, how: str) -> UnreadableFile:
    return UnreadableFile(
        "a damaged index of a sharded checkpoint",
        f"{index} is not an index of shards: {how}. Download it again.",
    )
