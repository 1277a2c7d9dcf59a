"""Writes locales/en/nodeDefs.json from the nodes' own texts: `python tests/comfy/make_locale.py COMFYUI PYTHON`."""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from host import Host, Place

from locales import FOLDER, english


def main(comfyui: str, python: str) -> None:
    """Starts ComfyUI for its description of the nodes and writes the file."""
    with tempfile.TemporaryDirectory() as base:
        host = Host(Place(Path(comfyui), python), Path(base))
        path = FOLDER / "en" / "nodeDefs.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(english(host.info), indent=2) + "\n")
        host.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
