"""Makes the README's moving picture: `python tests/browser/make_moving_picture.py COMFYUI PYTHON CHROMIUM`.

A template is opened in ComfyUI, its bars are dragged, and the graph is run for every frame. Writes docs/images/bars.gif
and the still bars.png.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "comfy" / "support"))

from front import Front, example
from host import Host, Place
from make_pictures import EDITOR, GROUND, IMAGES, INK, fitted, opened, run
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import sync_playwright

TEMPLATE = "3 Soft weights"
WIDTH, HEIGHT, MARGIN = 800, 400, 16
#: Each drag goes over the bars from one place to another, given as shares of their area.
DRAGS = (
    ((0.02, 0.02), (0.98, 0.02)),
    ((0.02, 0.95), (0.30, 0.90)),
    ((0.30, 0.90), (0.45, 0.70)),
    ((0.45, 0.70), (0.60, 0.45)),
    ((0.60, 0.45), (0.98, 0.02)),
    ((0.02, 0.60), (0.60, 0.25)),
    ((0.02, 0.02), (0.60, 0.02)),
)
SECONDS = 0.9  # a frame


def main(comfyui: str, python: str, chromium: str) -> None:
    """Drags, runs and writes both pictures."""
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        host = Host(Place(Path(comfyui), python), Path(base))
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        frames = list(take_frames(Front(browser, host, vue=False)))
        host.stop()
    small = [frame.quantize(256, kmeans=1) for frame in frames]
    pause = [round(1000 * SECONDS)] * len(small)
    small[0].save(
        IMAGES / "bars.gif", save_all=True, append_images=small[1:], duration=pause, loop=0
    )
    frames[len(DRAGS) - 2].quantize(256, kmeans=1).save(IMAGES / "bars.png", optimize=True)


def take_frames(front: Front) -> Iterator[Image.Image]:
    """Gives a picture of the editor and of the result after each drag."""
    front.load(example(TEMPLATE), EDITOR)
    for start, end in DRAGS:
        front.sweep(start, end)
        front.page.wait_for_timeout(300)
        made = dict(run(front.host, front.prompt()))
        yield frame(opened(front.picture(EDITOR)), list(made.values())[-1])


def frame(editor: Image.Image, result: Image.Image) -> Image.Image:
    """Returns the editor on the left, the pictures with a prompt and without on the right."""
    whole = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
    left = fitted(editor, WIDTH, HEIGHT)
    whole.paste(left, (0, 0))
    room = WIDTH - left.width - 2 * MARGIN
    right = fitted(result, room, HEIGHT)
    x, y = left.width + MARGIN, (HEIGHT - right.height) // 2
    whole.paste(right, (x, y))
    pen, font = ImageDraw.Draw(whole), ImageFont.load_default(18)
    for place, words in ((0.25, "with a prompt"), (0.75, "without")):
        at = (x + place * right.width, y + right.height + 18)
        pen.text(at, words, INK, font=font, anchor="mm")
    return whole


if __name__ == "__main__":
    main(*sys.argv[1:])
