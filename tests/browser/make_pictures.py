"""Takes the pictures of examples and nodes: `python tests/browser/make_pictures.py COMFYUI PYTHON CHROMIUM`.

Thumbnails of the examples go to example_workflows/, nodes to js/docs/images/, the editor to docs/images/.
"""

import io
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "comfy" / "support"))

from front import Front, example
from host import REPOSITORY, Host, Place
from PIL import Image
from playwright.sync_api import sync_playwright
from single import SHOWN, alone

THUMBNAIL = 1200  # pixels wide
DOWNLOAD = "stable_diffusion_15"  # it needs files of one's own, so it cannot be run here
RUN = """async () => {
    const done = new Promise((resolve) => app.api.addEventListener('execution_success', resolve, {once: true}));
    await app.queuePrompt(0);
    await done;
}"""


def main(comfyui: str, python: str, chromium: str) -> None:
    """Starts ComfyUI and the browser, and takes all pictures."""
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        host = Host(Place(Path(comfyui), python), Path(base))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        take_all(Front(browser, host, vue=False, zoom=2))
        host.stop()


def take_all(front: Front) -> None:
    """Takes every picture from one page."""
    for path in sorted((REPOSITORY / "example_workflows").glob("*.json")):
        front.load(example(path.stem))
        if path.stem != DOWNLOAD:
            front.page.evaluate(RUN)
        front.fit()
        save(front.picture(), path.with_suffix(".jpg"), THUMBNAIL)
    for kind, values in SHOWN.items():
        front.load(alone(kind, front.host.info, values), kind)
        save(front.picture(kind), REPOSITORY / "js" / "docs" / "images" / f"{kind}.png", 560)


def save(picture: bytes, path: Path, width: int) -> None:
    """Writes a picture with this width."""
    image: Any = Image.open(io.BytesIO(picture)).convert("RGB")
    image = image.resize(
        (width, round(image.height * width / image.width)), Image.Resampling.LANCZOS
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=85, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
