"""Pictures: docs/pictures.py and docs/data_layouts.py draw what pages show; every picture's command is listed."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from PIL import Image

from cnet_core.training import plots

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOLDING_PICTURES = ("docs", "js", "example_workflows", "cnet_core/tiny")
SUFFIXES = (".png", ".jpg", ".gif", ".webp")
sys.path[:0] = [str(DOCS), str(DOCS / "lab" / "studies")]
import data_layouts  # noqa: E402
import pictures  # noqa: E402
import plot_convergence  # noqa: E402


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_each_picture_is_drawn_and_committed(name: str) -> None:
    cells = pictures.PICTURES[name](pictures.Painter(quick=True))
    sheet = pictures.strip(cells)
    assert len({cell.title for cell in cells}) == len(cells)
    with Image.open(DOCS / "images" / f"{name}.png") as committed:
        assert sheet.size == committed.size


def test_tiles_get_their_part_of_the_hint_or_all_of_it() -> None:
    hint, _, whole, parts = pictures.tiles(pictures.Painter(quick=True))
    assert hint.picture.size == whole.picture.size == parts.picture.size
    assert whole.picture.tobytes() != parts.picture.tobytes()


@pytest.mark.parametrize("name", data_layouts.LAYOUTS)
def test_each_data_layout_is_drawn_and_committed(name: str) -> None:
    empty = Image.new("RGB", (8, 8))
    samples = [data_layouts.Sample(empty, empty, "a caption")] * 2
    sheet = data_layouts.draw_layout(data_layouts.LAYOUTS[name](samples))
    with Image.open(DOCS / "images" / f"{name}.png") as committed:
        assert sheet.size == committed.size
    assert f"images/{name}.png" in (DOCS / "training_data.md").read_text()


def test_each_picture_in_the_tree_has_its_command_on_one_page() -> None:
    page = (DOCS / "dev" / "pictures.md").read_text(encoding="utf-8").replace("\\*", "*")
    listed = dict(re.findall(r"^\| ([^|]+?) \| `([^`]+)` \|$", page, re.MULTILINE))
    for pattern, command in listed.items():
        assert list(ROOT.glob(pattern)), pattern
        assert (ROOT / shlex.split(command)[1]).is_file(), command
    for folder in HOLDING_PICTURES:
        for path in (p for p in (ROOT / folder).rglob("*") if p.suffix in SUFFIXES):
            place = path.relative_to(ROOT)
            found = [p for p in listed if place.match(p) and len(place.parts) == len(Path(p).parts)]
            exact = [p for p in found if "*" not in p]
            assert len(exact or found) == 1, place


def test_the_runs_that_are_kept_can_still_be_plotted(tmp_path: Path) -> None:
    plot_convergence.main(["--out", str(tmp_path)])
    drawn = {path.name: path for path in tmp_path.iterdir()}
    assert drawn.keys() == {path.name for path in DOCS.glob("images/convergence_*.png")}
    for name, path in drawn.items():
        with Image.open(path) as plot, Image.open(DOCS / "images" / name) as committed:
            assert plot.size == committed.size
            left = plot.crop((0, 0, plots.RIGHT - 2, plots.TOP - 20))  # of the title and the legend
            assert left.getcolors() == [(left.width * left.height, plots.PAPER)]
