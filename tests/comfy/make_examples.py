"""Writes example_workflows/*.json and subgraphs/*.json: `python tests/comfy/make_examples.py COMFYUI PYTHON`.

`tests/browser/make_pictures.py` takes the pictures of them.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from blueprints import BLUEPRINTS, saved
from example_graphs import EXAMPLES
from host import REPOSITORY, Host, Place
from ui_format import to_ui

FOLDER = REPOSITORY / "example_workflows"
SUBGRAPHS = REPOSITORY / "subgraphs"


def main(comfyui: str, python: str) -> None:
    """Starts ComfyUI for its description of the nodes and writes all examples and blueprints."""
    FOLDER.mkdir(exist_ok=True)
    SUBGRAPHS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as base:
        host = Host(Place(Path(comfyui), python), Path(base))
        for name, sheet in EXAMPLES.items():
            workflow = to_ui(sheet(), host.info)
            (FOLDER / f"{name}.json").write_text(json.dumps(workflow, indent=1) + "\n")
        for blueprint in (make() for make in BLUEPRINTS):
            text = json.dumps(saved(blueprint, host.info), indent=1) + "\n"
            (SUBGRAPHS / f"{blueprint.name}.json").write_text(text)
        host.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
