"""Writes example_workflows/*.json, and *.jpg of what each makes: `python tests/comfy/make_examples.py COMFYUI PYTHON`.

The example for a file of one's own has no picture.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "support"))

from example_graphs import EXAMPLES
from host import REPOSITORY, Host, Place
from ui_format import to_api, to_ui

FOLDER = REPOSITORY / "example_workflows"
DOWNLOAD = "stable_diffusion_15"
THUMBNAIL = 256  # height in pixels


def main(comfyui: str, python: str) -> None:
    """Starts ComfyUI for its description of the nodes, writes all examples and runs them for their thumbnails."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as base:
        host = Host(Place(Path(comfyui), python), Path(base))
        info = host.info
        for name, (graph, note) in EXAMPLES.items():
            workflow = to_ui(graph().nodes, info, note)
            (FOLDER / f"{name}.json").write_text(json.dumps(workflow, indent=1) + "\n")
            if name != DOWNLOAD:
                images = made(host.run(to_api(workflow, info)), Path(base) / "output")
                side_by_side(images).save(FOLDER / f"{name}.jpg", quality=92)
        host.stop()


def made(outputs: dict[str, Any], folder: Path) -> list[Image.Image]:
    """Returns the pictures that a run saved, by the order of their nodes."""
    files = [image for key in sorted(outputs, key=int) for image in outputs[key].get("images", [])]
    return [Image.open(folder / file["subfolder"] / file["filename"]) for file in files]


def side_by_side(images: list[Image.Image]) -> Image.Image:
    """Returns one picture of several."""
    scaled = [i.resize((THUMBNAIL * i.width // i.height, THUMBNAIL)) for i in images]
    sheet = Image.new("RGB", (sum(i.width for i in scaled), THUMBNAIL))
    x = 0
    for image in scaled:
        sheet.paste(image, (x, 0))
        x += image.width
    return sheet


if __name__ == "__main__":
    main(*sys.argv[1:])
