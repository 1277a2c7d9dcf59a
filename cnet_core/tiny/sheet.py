"""The contact sheet: the hint and every picture of the demonstration with captions."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from .demo import ROWS, Result

CELL, GAP, CAPTION, MARGIN = 256, 12, 44, 16
PAPER, INK, FAINT = (250, 250, 248), (25, 25, 28), (110, 110, 116)


def to_image(picture: Tensor) -> Image.Image:
    """Returns a picture (3, H, W), clamped to 0..1, as 8-bit RGB."""
    values = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0)
    return Image.fromarray(np.asarray(values))


def contact_sheet(hint: Tensor, pictures: Mapping[str, tuple[Result, Tensor]]) -> Image.Image:
    """Returns one sheet: the hint on the left, a column per row of the demonstration, prompt above empty.

    Args:
        hint: (1, 3, H, W).
        pictures: `Result.name` -> result and picture.
    """
    columns = len(ROWS) + 1
    width = 2 * MARGIN + columns * CELL + (columns - 1) * GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + 2 * (CELL + CAPTION) + GAP), PAPER)
    for line, kind in enumerate(("prompt", "empty")):
        top = MARGIN + line * (CELL + CAPTION + GAP)
        prompt = next(r.prompt for r, _ in pictures.values() if r.name.endswith(kind))
        _draw_cell(sheet, MARGIN, top, hint[0], "hint", f"“{prompt}”" if prompt else "empty prompt")
        for column, row in enumerate(ROWS, start=1):
            result, picture = pictures[f"{row}__{kind}"]
            _draw_cell(sheet, MARGIN + column * (CELL + GAP), top, picture, row, _figures(result))
    return sheet


def _figures(result: Result) -> str:
    follows = "not measured" if result.adherence is None else f"follows {result.adherence:.2f}"
    return f"{follows}   clipped {100 * result.saturation:.1f} %"


def _draw_cell(sheet: Image.Image, x: int, y: int, picture: Tensor, title: str, note: str) -> None:
    image = to_image(picture).resize((CELL, CELL), Image.Resampling.NEAREST)
    sheet.paste(image, (x, y))
    draw = ImageDraw.Draw(sheet)
    draw.text((x, y + CELL + 4), title, fill=INK, font=ImageFont.load_default(16))
    draw.text((x, y + CELL + 24), note, fill=FAINT, font=ImageFont.load_default(13))
