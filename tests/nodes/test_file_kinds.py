"""A file that fails to be read costs the others nothing, and is not read at every request."""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

Part = Callable[[str], ModuleType]


@dataclass
class Folder:
    """A folder of ControlNets whose reading raises what `errors` has for a file; `now` is the time in seconds."""

    kinds: ModuleType
    path: Path
    errors: dict[str, Exception] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    now: float = 0.0

    def glance(self, path: Path) -> Any:
        self.read.append(path.name)
        if path.name in self.errors:
            raise self.errors[path.name]
        return self.kinds.Glance("a LoRA")

    def ask(self, files: Any) -> tuple[dict[str, str], list[str]]:
        """As a request: returns the known kinds and what is missing, then reads it."""
        known, missing = files.list_known()
        files.read(missing)
        return {name: kind.what for name, kind in known.items()}, missing


@pytest.fixture
def folder(part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name in ("a.safetensors", "b.safetensors", "c.safetensors"):
        (tmp_path / name).touch()
    host = ModuleType("folder_paths")
    host.get_filename_list = lambda folder: sorted(path.name for path in tmp_path.iterdir())
    host.get_full_path = lambda folder, name: str(tmp_path / name)
    monkeypatch.setitem(sys.modules, "folder_paths", host)
    kinds = part("nodes.comfyui.file_kinds")
    monkeypatch.setattr(kinds, "folder_paths", host)
    found = Folder(kinds, tmp_path)
    monkeypatch.setattr(kinds, "glance", found.glance)
    monkeypatch.setattr(kinds, "glance_at_model", found.glance)
    return found


KNOWN = {
    "a.safetensors": "a LoRA",
    "b.safetensors": "a file that cannot be read",
    "c.safetensors": "a LoRA",
}


def test_an_unexpected_error_is_logged_once_and_the_scan_ends(
    folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    folder.errors["b.safetensors"] = IndexError("tuple index out of range")
    files = folder.kinds.FileKinds()
    with caplog.at_level(logging.ERROR, "cnet"):
        folder.ask(files)
        assert [folder.ask(files), folder.ask(files)] == [(KNOWN, [])] * 2
        assert files.find_model("b.safetensors").what == "a file that cannot be read"
    assert [str(folder.path / "b.safetensors") in text for text in caplog.messages] == [True]


def test_what_the_system_did_not_read_is_tried_again_after_a_minute(folder: Folder) -> None:
    folder.errors["b.safetensors"] = OSError("the drive does not answer")
    files = folder.kinds.FileKinds(lambda: folder.now)
    folder.ask(files)
    assert folder.ask(files) == (KNOWN, [])
    folder.errors.clear()
    folder.now = 61.0
    assert folder.ask(files)[1] == ["b.safetensors"]
    assert folder.ask(files) == ({**KNOWN, "b.safetensors": "a LoRA"}, [])
    assert folder.read.count("b.safetensors") == 2
    folder.now = 1000.0
    assert folder.ask(files)[1] == []
