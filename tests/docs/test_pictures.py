"""docs/pictures.py and docs/data_layouts.py: what the users' pages show is drawn by the embedded model."""

import sys
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
import data_layouts  # noqa: E402
import pictures  # noqa: E402


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
