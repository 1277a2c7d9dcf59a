"""The top of the X-ray's picture: the verdict, an explanation of the picture, and a key to its colours."""

from PIL import Image, ImageDraw

from .style import FAINT, INK, LABEL, MARGIN, NOTHING, PAPER, SMALL, VERDICT, font, heat_colour
from .text import number

LEGEND = (
    "Colour: size of the residual relative to the skip that it was added to (|residual| / |skip|). Gain: strength x "
    "window x routing. "
)
LEFT_OUT = "Left out: how much the last prediction changes without the block."
SPACING = 1.25  # lines
KEY = 240  # pixels, long


def draw_head(verdict: str, top: float, width: int, *, has_influence: bool) -> Image.Image:
    """Returns the head of a picture of this width; `top` is the value of the brightest colour."""
    legend = LEGEND + (LEFT_OUT if has_influence else "")
    lines = [(line, VERDICT, INK) for line in _wrap(verdict, VERDICT, width - 2 * MARGIN)]
    lines += [(line, SMALL, FAINT) for line in _wrap(legend, SMALL, width - 2 * MARGIN)]
    height = round(sum(size * SPACING for _, size, _ in lines)) + LABEL + 3 * MARGIN
    head = Image.new("RGB", (width, height), PAPER)
    pen, y = ImageDraw.Draw(head), float(MARGIN)
    for text, size, colour in lines:
        pen.text((MARGIN, y), text, fill=colour, font=font(size))
        y += size * SPACING
    _draw_key(pen, round(y) + MARGIN // 2, top)
    return head


def _wrap(text: str, size: int, width: int) -> list[str]:
    """Returns the lines of a text that is no wider than `width` pixels."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font(size).getlength(longer) > width and lines[-1]:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def _draw_key(pen: ImageDraw.ImageDraw, y: int, top: float) -> None:
    """Draws the colour scale, and the colour for nothing."""
    x, middle = MARGIN + 28, y + LABEL // 2
    pen.text((MARGIN, middle), "0", fill=INK, font=font(LABEL), anchor="lm")
    for i in range(KEY):
        pen.line((x + i, y, x + i, y + LABEL), fill=heat_colour(i / (KEY - 1)))
    pen.text((x + KEY + 10, middle), number(top), fill=INK, font=font(LABEL), anchor="lm")
    x += KEY + 130
    pen.rectangle((x, y, x + LABEL, y + LABEL), fill=NOTHING)
    pen.text((x + LABEL + 10, middle), "nothing added", fill=INK, font=font(LABEL), anchor="lm")
