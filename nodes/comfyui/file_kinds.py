"""What the files in ComfyUI's folders are, from their headers, each read once."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import folder_paths

from ...cnet_core.checkpoints.glance import Glance, glance, glance_at_model

logger = logging.getLogger("cnet")

#: ComfyUI's name for the folders of ControlNets.
FOLDER = "controlnet"
#: Folders of base models, in the order in which a name is looked for.
MODEL_FOLDERS = ("checkpoints", "diffusion_models")
#: A header is short only in this format; of others the file is read when it is chosen.
SHORT_HEADER = ".safetensors"

#: What fails to be read.
UNREADABLE = Glance("a file that cannot be read")

#: Seconds until the next try at a file that the system did not read, such as one on a network drive.
RETRY = 60.0

#: Path, bytes and time of a file.
_State = tuple[str, int, int]


class FileKinds:
    """The kinds of files, kept by path, size and time. Several threads may ask; at worst two read the same file."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[_State, Glance] = {}
        self._retry: dict[_State, float] = {}

    def list_known(self, chosen: str | None = None) -> tuple[dict[str, Glance], list[str]]:
        """Returns the known files of the `controlnet` folders, and the names of those that `read` should read.

        Args:
            chosen: a name in the list; its file may have any format.
        """
        known: dict[str, Glance] = {}
        missing: list[str] = []
        for name in folder_paths.get_filename_list(FOLDER):
            state = _state_of(FOLDER, name)
            kind = None if state is None else self._find(state)
            if kind is not None:
                known[name] = kind
            elif state is not None and (name == chosen or name.endswith(SHORT_HEADER)):
                missing.append(name)
        return known, missing

    def read(self, names: Sequence[str]) -> None:
        """Reads the headers of files of the `controlnet` folders."""
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
        kind = self._find(state)
        if kind is None:
            kind = self._known[state] = self._read(state, read)
        return kind

    def _find(self, state: _State) -> Glance | None:
        """Returns what is known of a file; None if it is to be read."""
        return None if self._clock() >= self._retry.get(state, math.inf) else self._known.get(state)

    def _read(self, state: _State, read: Callable[[Path], Glance]) -> Glance:
        """Returns what a file is. An error stays with its file, so that the others are still read."""
        self._retry.pop(state, None)
        try:
            return read(Path(state[0]))
        except OSError:  # gone, no permission, or a drive that does not answer
            self._retry[state] = self._clock() + RETRY
        except Exception:
            logger.exception(
                "%s cannot be read; Load ControlNet lists it without its kind.", state[0]
            )
        return UNREADABLE


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
