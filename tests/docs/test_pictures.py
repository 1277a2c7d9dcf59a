"""docs/pictures.py: what opens the users' pages is drawn by the embedded model."""

import sys
from pathlib import Path

import pytest
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS))
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
