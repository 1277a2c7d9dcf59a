"""Writes the saved graphs: `python tests/comfy/make_examples.py COMFYUI PYTHON [PACKS]`.

They are example_workflows/*.json and subgraphs/*.json. PACKS is a folder with checkouts of other packs: with it, those
of docs/examples are written and run, since CI does not. `tests/browser/make_pictures.py` takes the others' pictures.
"""

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from blueprints import BLUEPRINTS, saved
from examples import EXAMPLES, WITH_PACKS
from host import REPOSITORY, Host, Place
from ui_format import to_api, to_ui

FOLDER = REPOSITORY / "example_workflows"
SUBGRAPHS = REPOSITORY / "subgraphs"
OF_PACKS = REPOSITORY / "docs" / "examples"


def main(comfyui: str, python: str, packs: str = "") -> None:
    """Starts ComfyUI for its description of the nodes and writes all graphs."""
    folders = [Path(packs) / pack for pack, _ in WITH_PACKS.values()] if packs else []
    with tempfile.TemporaryDirectory() as base:
        host = Host(Place(Path(comfyui), python), Path(base), packs=folders)
        try:
            _write(host, with_packs=bool(packs))
        finally:
            host.stop()


def _write(host: Host, *, with_packs: bool) -> None:
    for name, sheet in EXAMPLES.items():
        _save(FOLDER / f"{name}.json", to_ui(sheet(), host.info))
    for blueprint in (make() for make in BLUEPRINTS):
        _save(SUBGRAPHS / f"{blueprint.name}.json", saved(blueprint, host.info))
    for name, (_, sheet) in WITH_PACKS.items() if with_packs else ():
        workflow = to_ui(sheet(), host.info)
        host.run(to_api(workflow, host.info))
        _save(OF_PACKS / f"{name}.json", workflow)


def _save(path: Path, graph: object) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(graph, indent=1) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
