"""Writes example_workflows/*.json: `python tests/comfy/make_examples.py COMFYUI PYTHON`."""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from example_graphs import EXAMPLES
from host import REPOSITORY, Host
from ui_format import to_ui

FOLDER = REPOSITORY / "example_workflows"


def main(comfyui: str, python: str) -> None:
    """Starts ComfyUI for its description of the nodes, and writes all examples."""
    with tempfile.TemporaryDirectory() as base:
        host = Host(Path(comfyui), python, Path(base))
        info = host.get("/object_info")
        host.stop()
    FOLDER.mkdir(exist_ok=True)
    for name, (graph, note) in EXAMPLES.items():
        text = json.dumps(to_ui(graph().nodes, info, note), indent=1)
        (FOLDER / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
