"""Takes the pictures of examples and nodes: `python tests/browser/make_pictures.py COMFYUI PYTHON CHROMIUM [NAME …]`.

An example's thumbnail, in example_workflows/, is a strip of what it made; that of an example with files of one's own is
its schedule. Nodes go to js/docs/images/, the editor to docs/images/. Names choose some.
"""

import io
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "comfy" / "support"))

from front import Front, example
from host import REPOSITORY, Host, Place
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright
from single import SHOWN, alone
from ui_format import to_api

THUMBNAIL = 800  # pixels wide
STRIP = 420  # pixels high, at most
MARGIN, CAPTION = 24, 40
GROUND, INK = "#1b1b1e", "#d8d8d8"
NODE = 560  # pixels wide
EDITOR, XRAY = "BlockScaleSchedule", "ControlXRay"
IMAGES = REPOSITORY / "docs" / "images"
EXAMPLES = sorted((REPOSITORY / "example_workflows").glob("*.json"))
HELP = REPOSITORY / "js" / "docs" / "images"
#: They need files of one's own, so they cannot be run here -> what their schedule shows.
DOWNLOAD = {
    "7 Stable Diffusion 1.5": "your picture, SD1.5: 13 blocks",
    "8 SDXL": "your picture, SDXL: 10 blocks",
}


def main(comfyui: str, python: str, chromium: str, *names: str) -> None:
    """Starts ComfyUI and the browser, and takes all pictures, or those of the named examples and nodes."""
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        host = Host(Place(Path(comfyui), python), Path(base))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_all(Front(browser, host, vue=False, zoom=2), names)
        host.stop()


def take_all(front: Front, names: Sequence[str] = ()) -> None:
    """Takes every picture from one page."""
    for path in EXAMPLES:
        if not names or path.stem in names:
            save(thumbnail(front, path.stem), path.with_suffix(".jpg"), THUMBNAIL)
    for kind, values in SHOWN.items():
        if not names or kind in names:
            front.load(alone(kind, front.host.info, values), kind)
            picture = opened(front.picture(kind))
            if kind == XRAY:
                picture = over(picture, fitted(xray(), picture.width, sys.maxsize))
            save(picture, HELP / f"{kind}.png", NODE)
    if not names or EDITOR in names:
        save(Image.open(HELP / f"{EDITOR}.png"), IMAGES / "editor.png", NODE)


def thumbnail(front: Front, name: str) -> Image.Image:
    """Runs an example, and returns what it made; its schedule where it needs files of one's own."""
    if name not in DOWNLOAD:
        workflow = example(name)
        titles = {str(node["id"]): node.get("title", "") for node in workflow["nodes"]}
        graph = to_api(workflow, front.host.info)
        return in_a_row([(titles[key], made) for key, made in run(front.host, graph)], STRIP)
    front.load(example(name), EDITOR)
    return in_a_row([(DOWNLOAD[name], opened(front.picture(EDITOR, margin=0)))], THUMBNAIL)


def in_a_row(made: Sequence[tuple[str, Image.Image]], room: int) -> Image.Image:
    """Returns pictures with their captions below, as large as the room allows."""
    widths = sum(picture.width / picture.height for _, picture in made)
    free = THUMBNAIL - MARGIN * (len(made) + 1)
    height = min(room - CAPTION - 2 * MARGIN, round(free / widths))
    row = Image.new("RGB", (THUMBNAIL, height + CAPTION + 2 * MARGIN), GROUND)
    pen, font = ImageDraw.Draw(row), ImageFont.load_default(26)
    left = round(free - height * widths) // 2 + MARGIN
    for caption, picture in made:
        shown = fitted(picture, THUMBNAIL, height)
        row.paste(shown, (left, MARGIN))
        below = (left + shown.width / 2, MARGIN + height + CAPTION / 2)
        pen.text(below, caption, INK, font=font, anchor="mm")
        left += shown.width + MARGIN
    return row


def over(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Returns one picture above another, each in the middle."""
    both = (upper, lower)
    width = max(picture.width for picture in both)
    whole = Image.new("RGB", (width, upper.height + lower.height), GROUND)
    for picture, top in zip(both, (0, upper.height), strict=True):
        whole.paste(picture, ((width - picture.width) // 2, top))
    return whole


def run(host: Host, graph: dict[str, Any]) -> Iterator[tuple[str, Image.Image]]:
    """Runs a graph in API format; gives each picture that a node shows, with the node's key, in their order."""
    outputs = host.run(graph)
    for key in sorted(outputs, key=lambda key: int(key.split(":")[0])):
        for image in outputs[key].get("images", []):
            with urllib.request.urlopen(
                f"{host.url}/view?{urllib.parse.urlencode(image)}"
            ) as answer:
                yield key, opened(answer.read())


def xray() -> Image.Image:
    """Returns the picture that docs/xray.md shows."""
    return opened((IMAGES / "xray.png").read_bytes())


def opened(picture: bytes) -> Image.Image:
    """Returns the picture in a file's bytes."""
    return Image.open(io.BytesIO(picture)).convert("RGB")


def fitted(picture: Image.Image, width: int, height: int) -> Image.Image:
    """Returns a picture as large as fits."""
    scale = min(width / picture.width, height / picture.height)
    size = (round(picture.width * scale), round(picture.height * scale))
    return picture.resize(size, Image.Resampling.LANCZOS)


def save(picture: Any, path: Path, width: int) -> None:
    """Writes a picture with this width; PNG files with 256 colours, which is all that a node has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = fitted(picture.convert("RGB"), width, sys.maxsize)
    picture = picture.quantize(256, kmeans=1) if path.suffix == ".png" else picture
    picture.save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
