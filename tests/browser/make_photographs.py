"""Photographs what a newcomer sees, to be looked at.

    python tests/browser/make_photographs.py COMFYUI PYTHON CHROMIUM OUT [--front-end FOLDER] [--mode classic|vue]

Both node modes, or one, at two sizes of the window, with the settings of a fresh ComfyUI: the dialog of templates, each
template as it opens and, at the first size, after a run, the properties panel, the help, and the search box with every
phrase of test_search.py. OUT gets the pictures; zoom.txt has the zoom at which each template opens, search.txt what was
found.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
sys.path.insert(0, str(Path(__file__).parents[1] / "comfy" / "support"))

from front import Front, templates
from host import Host, Place
from make_pictures import opened
from PIL import Image
from playwright.sync_api import sync_playwright
from search_box import BY_ALIAS, BY_NAME, offered, search

SIZES = ((1440, 900), (1920, 1080))
MODES = {"classic": False, "vue": True}
#: All that a fresh ComfyUI does not have: it opens its own templates instead of an empty graph.
FRESH = {"Comfy.TutorialCompleted": True, "Comfy.VueNodes.AutoScaleLayout": True}
NEED_FILES = ("7 Stable Diffusion 1.5", "8 SDXL")
SHOWN = 15_000  # ms after a run, until a busy machine shows its pictures
LONG = "6 Train and use"  # runs after all other photographs
PANEL = ("3 Soft weights", "BlockScaleSchedule")
ZOOM = "() => app.canvas.ds.scale"
COMMAND = "(id) => app.extensionManager.command.execute(id)"
HELP = "[data-testid=info-button], .help-button"  # above the node that is selected
FOUND = {"width": 960, "height": 330}  # of the list below the search box


def main(argv: list[str]) -> None:
    """Starts ComfyUI and the browser, and takes the photographs."""
    given = parse(argv)
    options = ["--front-end-root", given.front_end] if given.front_end else []
    with tempfile.TemporaryDirectory() as base, sync_playwright() as playwright:
        host = Host(Place(given.comfyui, given.python), Path(base), options)
        shutil.copy(given.comfyui / "input" / "example.png", host.base / "input")
        try:
            browser = playwright.chromium.launch(
                executable_path=given.chromium, args=["--no-sandbox"]
            )
            for mode in given.mode or MODES:
                front = Front(browser, host, vue=MODES[mode], settings=FRESH)
                for width, height in SIZES:
                    front.page.set_viewport_size({"width": width, "height": height})
                    photograph(front, given.out / f"{mode}_{width}", width == SIZES[0][0])
                front.open_template(LONG)
                show_run(front, given.out / f"{mode}_{width}" / f"{LONG}, run.png")
                front.close()
        finally:
            host.stop()


def parse(argv: list[str]) -> argparse.Namespace:
    """Returns what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("python")
    parser.add_argument("chromium")
    parser.add_argument("out", type=Path)
    parser.add_argument("--front-end", help="the folder `static` of another front end")
    parser.add_argument("--mode", choices=MODES, action="append", help="only this node mode")
    return parser.parse_args(argv)


def photograph(front: Front, folder: Path, with_runs: bool) -> None:
    """Takes the photographs of one page at one size."""
    folder.mkdir(parents=True, exist_ok=True)

    def keep(name: str) -> None:
        front.page.screenshot(path=folder / f"{name}.png")

    show_dialog(front)
    keep("dialog")
    front.press("Escape")
    zooms = []
    for name in templates():
        front.open_template(name)
        front.page.wait_for_timeout(1200)
        zooms.append(f"{front.page.evaluate(ZOOM):.2f} {name}")
        keep(name)
        if with_runs and name not in (*NEED_FILES, LONG):
            show_run(front, folder / f"{name}, run.png")
    (folder / "zoom.txt").write_text("\n".join(zooms) + "\n")
    show_panel(front)
    keep("panel")
    show_help(front)
    keep("help")
    front.toggle_panel()
    lines, pictures = zip(*search_all(front), strict=True)
    (folder / "search.txt").write_text("\n".join(lines) + "\n")
    sheet(pictures).save(folder / "search.png")


def show_run(front: Front, path: Path) -> None:
    """Runs what is open, and photographs its end."""
    front.run()
    front.page.wait_for_timeout(SHOWN)
    front.page.screenshot(path=path)


def show_dialog(front: Front) -> None:
    """Opens the dialog of templates at ours."""
    front.page.evaluate(COMMAND, "Comfy.BrowseTemplates")
    front.page.wait_for_timeout(2000)
    ours = front.page.get_by_text("cnet", exact=True)
    if ours.count():
        ours.first.click()
    front.page.wait_for_timeout(1500)


def show_panel(front: Front) -> None:
    """Opens a template, selects its schedule, and opens the properties panel."""
    template, kind = PANEL
    front.open_template(template)
    front.toggle_panel()
    front.select(kind)


def show_help(front: Front) -> None:
    """Opens the help of the node that is selected."""
    front.page.locator(HELP).first.click()
    front.page.wait_for_timeout(1500)


def search_all(front: Front) -> Iterator[tuple[str, Image.Image]]:
    """Gives each phrase with the first nodes that it finds, ours marked by a star, and the search box."""
    for phrase, kind in {**BY_NAME, **BY_ALIAS}.items():
        search(front, phrase)
        ours = front.host.info[kind]["display_name"]
        names = [f"*{name}" if name == ours else name for name in offered(front, ours)]
        width = front.page.viewport_size["width"]
        place = {"x": width / 2 - FOUND["width"] / 2, "y": 0}
        picture = opened(front.page.screenshot(clip={**place, **FOUND}))
        yield f"{phrase}: {', '.join(names) or 'nothing'}", picture
        front.press("Escape")


def sheet(pictures: Sequence[Image.Image], columns: int = 2) -> Image.Image:
    """Returns pictures of one size in rows."""
    width, height = pictures[0].size
    whole = Image.new("RGB", (columns * width, -(-len(pictures) // columns) * height))
    for i, picture in enumerate(pictures):
        whole.paste(picture, (i % columns * width, i // columns * height))
    return whole


if __name__ == "__main__":
    main(sys.argv[1:])
