"""README: short, with pictures that load quickly and a comparison that fits a screen."""

import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES, BYTES, WIDTH = 110, 1_500_000, 800
ROWS, COLUMNS = 10, 3  # of the comparison; its first column names the row


def section(title: str) -> str:
    """Returns the text below a heading."""
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def rows(table: str) -> list[list[str]]:
    """Returns a table's rows without its heading."""
    lines = [line.strip("|").split(" | ") for line in table.splitlines() if line.startswith("|")]
    return lines[2:]


def test_it_is_short_and_comes_to_comfyui_first() -> None:
    assert len(README.splitlines()) <= LINES
    headings = re.findall(r"^## (.+)", README, re.MULTILINE)
    assert headings[:2] == ["Install in ComfyUI", "Your first workflow"]
    for title in headings[:2]:
        assert re.findall(r"^(\d)\. ", section(title), re.MULTILINE) == ["1", "2", "3"]
    assert README.count("```sh") == 2


def test_the_moving_picture_loads_quickly_and_has_a_still() -> None:
    (still,) = re.findall(r'srcset="([^"]+\.png)"', README)
    (moving,) = re.findall(r'src="([^"]+\.gif)"', README)
    assert (ROOT / moving).stat().st_size <= BYTES
    with Image.open(ROOT / moving) as picture, Image.open(ROOT / still) as other:
        assert picture.width <= WIDTH
        assert picture.n_frames > 1
        assert picture.size == other.size


def test_three_pictures_have_captions_with_links() -> None:
    table = [line for line in section("What you get").splitlines() if line.startswith("|")]
    pictures, _, captions = table
    assert len(re.findall(r'<img src="[^"]+" width="\d+" alt="[^"]{10,}">', pictures)) == 3
    assert len(re.findall(r"\*\*[^*]+\*\*[^|]+\]\([^)]+\)", captions)) == 3


def test_the_comparison_fits_a_screen_and_says_what_others_have() -> None:
    compared = rows(section("Compared with what you have"))
    assert len(compared) <= ROWS
    assert {len(row) for row in compared} == {COLUMNS + 1}
    *_, (_, ours, _, advanced) = compared
    assert set(advanced.strip().split(", ")) - set(
        ours.split(", ")
    )  # what they have and we have not
