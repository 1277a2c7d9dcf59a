"""Writes tests/comfy/operations.json: `python tests/comfy/make_operations.py COMFYUI PYTHON [ADVANCED_CONTROLNET]`.

Prints how many ATen operations each way to control adds to a step, as docs have them. With the folder of
ComfyUI-Advanced-ControlNet its line comes too, and the file stays as it is.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from host import Host, Place
from operations import over_plain, versions
from weights import write_models

FILE = Path(__file__).parent / "operations.json"


def main(comfyui: str, python: str, *packs: str) -> None:
    """Counts in this ComfyUI; keeps the numbers of other versions."""
    with tempfile.TemporaryDirectory() as base:
        write_models(Path(base) / "models")
        host = Host(Place(Path(comfyui), python), Path(base), packs=[Path(p) for p in packs])
        try:
            version, found = versions(host), over_plain(host)
        finally:
            host.stop()
    print(f"{version}: operations a step over plain, and those that write memory")
    for name, count in found.items():
        print(f"{name:42} {count['operations']:5} {count['that write']:5}")
    if not packs:
        known = json.loads(FILE.read_text()) if FILE.exists() else {}
        FILE.write_text(_one_line_a_kind(json.dumps({**known, version: found}, indent=1)) + "\n")


def _one_line_a_kind(text: str) -> str:
    return re.sub(r"\[\s+(-?\d+),\s+(-?\d+)\s+\]", r"[\1, \2]", text)


if __name__ == "__main__":
    main(*sys.argv[1:])
