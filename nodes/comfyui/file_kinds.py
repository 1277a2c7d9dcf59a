"""What the files in ComfyUI's folders are, from their headers, each read once."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import folder_paths

from ...cnet_core.checkpoints.glance import Glance, glance, glance_at_model
from .files import FOLDER

#: Folders of base models, in the order in which a name is looked for.
MODEL_FOLDERS = ("checkpoints", "diffusion_models")
#: A header is short only in this format; of others the file is read when it is chosen.
SHORT_HEADER = ".safetensors"

#: What there is no permission to read.
UNREADABLE = Glance("a file that cannot be read")

#: Path, bytes and time of a file.
_State = tuple[str, int, int]


class FileKinds:
    """The kinds of files, kept by path, size and time. Several threads may ask."""

    def __init__(self) -> None:
        self._known: dict[_State, Glance] = {}
        self._lock = threading.Lock()

    def list_known(self, chosen: str | None = None) -> tuple[dict[str, Glance], list[str]]:
        """Returns the known files of the `controlnet` folders, and the names of those that `read` should read.

        Args:
            chosen: a name in the list; its file may have any format.
        """
        known: dict[str, Glance] = {}
        missing: list[str] = []
        for name in folder_paths.get_filename_list(FOLDER):
            state = _state_of(FOLDER, name)
            if state is not None and state in self._known:
                known[name] = self._known[state]
            elif state is not None and (name == chosen or name.endswith(SHORT_HEADER)):
                missing.append(name)
        return known, missing

    def read(self, names: Sequence[str]) -> None:
        """Reads the headers of files of the `controlnet` folders."""
        with self._lock:
            for name in names:
                self._look(FOLDER, name, glance)

    def find_model(self, name: str) -> Glance | None:
        """Returns what a base model's file is; None for a name that no list has, or that means several files."""
        found = [
            self._look(folder, name, glance_at_model)
            for folder in MODEL_FOLDERS
            if name in folder_paths.get_filename_list(folder)
        ]
        return found[0] if len(set(found)) == 1 else None

    def _look(self, folder: str, name: str, read: Callable[[Path], Glance]) -> Glance | None:
        state = _state_of(folder, name)
        if state is None:
            return None
        if state not in self._known:
            try:
                self._known[state] = read(Path(state[0]))
            except OSError:  # gone, or no permission
                self._known[state] = UNREADABLE
        return self._known[state]


def _state_of(folder: str, name: str) -> _State | None:
    """Returns path, size and time of a file in a list of ComfyUI's; None if it is gone."""
    path = folder_paths.get_full_path(folder, name)
    if path is None:
        return None
    try:
        stat = Path(path).stat()
    except OSError:
        return None
    return str(path), stat.st_size, stat.st_mtime_ns
