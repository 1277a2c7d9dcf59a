"""Writes example_workflows/*.json: `python tests/comfy/make_examples.py COMFYUI PYTHON`.

`tests/browser/make_pictures.py` takes the pictures of them.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from example_graphs import EXAMPLES
from host import REPOSITORY, Host, Place
from ui_format import to_ui

FOLDER = REPOSITORY / "example_workflows"


def main(comfyui: str, python: str) -> None:
    """Starts ComfyUI for its description of the nodes and writes all examples."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as base:
        host = Host(Place(Path(comfyui), python), Path(base))
        for name, (graph, note) in EXAMPLES.items():
            workflow = to_ui(graph().nodes, host.info, note)
            (FOLDER / f"{name}.json").write_text(json.dumps(workflow, indent=1) + "\n")
        host.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
