"""The X-ray as a picture, drawn with Pillow alone.

A column per branch: a heat map of |residual| / |skip| (block by step), under it each ControlNet's gain by step, under
it a strip per ControlNet of what was evaluated, reused and skipped. The last column: a bar per block (its influence
if it is known, else its mean ratio), and the gain after guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..uses import RowState
from .influence import Influence
from .record import Numbers, Record
from .text import block_name, number

Colour = tuple[int, int, int]

WIDTH, CELL, PLOT, STRIP = (
    340,
    26,
    120,
    22,
)  # pixels: a column, a block, a plot of gains, a ControlNet's strip
LEFT, GAP, TOP, MARGIN = 84, 44, 96, 20
PAPER, INK, FAINT = (255, 255, 255), (25, 25, 28), (105, 105, 112)
NOTHING, UNKNOWN = (228, 228, 231), (255, 255, 255)
#: From little to much: light to dark, so that it reads in grey too.
HEAT: tuple[Colour, ...] = (
    (255, 243, 201),
    (252, 190, 92),
    (226, 98, 56),
    (150, 27, 84),
    (46, 8, 66),
)
#: One colour a ControlNet, told apart by colour-blind people too (Okabe and Ito's).
UNITS: tuple[Colour, ...] = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167))
STATES: tuple[RowState, ...] = ("evaluated", "reused", "skipped")


@dataclass(frozen=True)
class _Box:
    x: int
    y: int
    w: int
    h: int


def draw(record: Record, influence: Influence | None = None) -> Image.Image:
    """Returns the X-ray of a run as an RGB picture; with `influence`, its bars by block."""
    columns, rows = len(record.branches) + 1, record.blocks * CELL
    plots = TOP + rows + 40
    strips = plots + PLOT + 34
    bottom = strips + record.units * STRIP + 64
    size = (LEFT + columns * (WIDTH + GAP) - GAP + MARGIN, bottom)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    if not record.blocks:
        pen.text((MARGIN, MARGIN), "Nothing was injected.", fill=INK, font=_font(20))
        return sheet
    ratios = [record.ratios(branch) for branch in record.branches]
    top = max(1e-6, float(np.nanmax([0.0, *(r[r > 0].max(initial=0.0) for r in ratios)])))
    _head(pen, top, size[0])
    _block_names(pen, record.blocks)
    gains = [
        [record.gains(unit, branch) for unit in range(record.units)] for branch in record.branches
    ]
    highest = max(1.0, _highest(gains))
    for column, branch in enumerate(record.branches):
        x = LEFT + column * (WIDTH + GAP)
        _title(pen, x, TOP, branch)
        sheet.paste(_heat(ratios[column] / top), (x, TOP))
        pen.rectangle((x - 1, TOP - 1, x + WIDTH, TOP + rows), outline=FAINT)
        _lines(pen, _Box(x, plots, WIDTH, PLOT), gains[column], highest, f"gain, {branch}")
        for unit in range(record.units):
            states = record.states(unit, branch)
            sheet.paste(_strip(states, _unit_colour(unit)), (x, strips + unit * STRIP))
        _steps(pen, x, strips + record.units * STRIP, len(record.steps))
    _unit_names(pen, strips, record.units)
    _state_key(pen, LEFT, bottom - 30)
    last = LEFT + (columns - 1) * (WIDTH + GAP)
    _bars(pen, last, record, influence)
    totals = [record.total_gains(unit) for unit in range(record.units)]
    box = _Box(last, plots, WIDTH, PLOT)
    _lines(pen, box, totals, max(1.0, _highest([totals])), "gain after guidance")
    return sheet


def _head(pen: ImageDraw.ImageDraw, top: float, width: int) -> None:
    pen.text((MARGIN, 14), "|residual| / |skip|  by block and step", fill=INK, font=_font(22))
    x, y, w = width - MARGIN - 400, 20, 220
    for i in range(w):
        pen.line((x + i, y, x + i, y + 14), fill=_heat_colour(i / (w - 1)))
    pen.text((x - 8, y + 7), "0", fill=INK, font=_font(16), anchor="rm")
    pen.text((x + w + 8, y + 7), number(top), fill=INK, font=_font(16), anchor="lm")
    pen.rectangle((x + w + 66, y, x + w + 80, y + 14), fill=NOTHING)
    pen.text((x + w + 88, y + 7), "nothing", fill=INK, font=_font(16), anchor="lm")


def _block_names(pen: ImageDraw.ImageDraw, blocks: int) -> None:
    for block in range(blocks):
        y = TOP + block * CELL + CELL // 2
        name = block_name(block, blocks)
        pen.text((LEFT - 10, y), name, fill=INK, font=_font(16), anchor="rm")


def _title(pen: ImageDraw.ImageDraw, x: int, y: int, text: str) -> None:
    pen.text((x, y - 8), text, fill=INK, font=_font(18), anchor="ls")


def _heat(shares: Numbers) -> Image.Image:
    """Returns the heat map of (blocks, steps), 1 for the largest; NaN stays paper, 0 is grey."""
    steps = np.clip(np.nan_to_num(shares), 0, 1)
    stops = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(steps, stops, [c[k] for c in HEAT]) for k in range(3)]
    colours: NDArray[np.uint8] = np.stack(channels, axis=-1).round().astype(np.uint8)
    colours[shares == 0] = NOTHING
    colours[np.isnan(shares)] = UNKNOWN
    return _scaled(colours, CELL * len(shares))


def _heat_colour(share: float) -> Colour:
    stops = np.linspace(0, 1, len(HEAT))
    red, green, blue = (
        round(float(np.interp(share, stops, [c[k] for c in HEAT]))) for k in range(3)
    )
    return red, green, blue


def _scaled(colours: NDArray[np.uint8], height: int) -> Image.Image:
    return Image.fromarray(colours).resize((WIDTH, height), Image.Resampling.NEAREST)


def _strip(states: Sequence[frozenset[RowState]], colour: Colour) -> Image.Image:
    """Returns one line of cells: what became of a ControlNet's rows, step by step."""
    line = np.array([[_state_colour(state, colour) for state in states]], dtype=np.uint8)
    return _scaled(line, STRIP - 6)


def _state_colour(states: frozenset[RowState], colour: Colour) -> Colour:
    found: RowState | None = next((state for state in STATES if state in states), None)
    pale = (colour[0] // 3 + 170, colour[1] // 3 + 170, colour[2] // 3 + 170)
    shown: dict[RowState | None, Colour] = {
        "evaluated": colour,
        "reused": pale,
        "skipped": NOTHING,
        None: UNKNOWN,
    }
    return shown[found]


def _unit_colour(unit: int) -> Colour:
    return UNITS[unit % len(UNITS)]


def _unit_names(pen: ImageDraw.ImageDraw, y: int, units: int) -> None:
    for unit in range(units):
        place = (LEFT - 10, y + unit * STRIP + (STRIP - 6) // 2)
        pen.text(place, f"net {unit + 1}", fill=_unit_colour(unit), font=_font(16), anchor="rm")


def _state_key(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for state in STATES:
        colour = _state_colour(frozenset([state]), UNITS[0])
        pen.rectangle((x, y, x + 14, y + 14), fill=colour)
        pen.text((x + 20, y + 7), state, fill=INK, font=_font(15), anchor="lm")
        x += 120


def _steps(pen: ImageDraw.ImageDraw, x: int, y: int, steps: int) -> None:
    pen.text((x, y), "step 0", fill=FAINT, font=_font(15))
    if steps > 1:
        pen.text((x + WIDTH, y), str(steps - 1), fill=FAINT, font=_font(15), anchor="ra")


def _highest(lines: Sequence[Sequence[Numbers]]) -> float:
    values = np.concatenate([np.zeros(1), *(line for group in lines for line in group)])
    return float(np.nanmax(values))


def _lines(
    pen: ImageDraw.ImageDraw, box: _Box, lines: Sequence[Numbers], highest: float, title: str
) -> None:
    """Draws one line a ControlNet, over the middles of its steps, from 0 to `highest`; gaps where it is NaN."""
    _title(pen, box.x, box.y, title)
    pen.rectangle((box.x, box.y, box.x + box.w - 1, box.y + box.h), outline=NOTHING)
    pen.line((box.x, box.y + box.h, box.x + box.w - 1, box.y + box.h), fill=FAINT)
    pen.text((box.x + box.w, box.y - 8), number(highest), fill=FAINT, font=_font(15), anchor="rs")
    for unit, values in enumerate(lines):
        low = np.clip(np.nan_to_num(values) / highest, -0.05, 1)
        points = [
            (
                box.x + box.w * (step + 0.5) / len(values),
                box.y + box.h - (box.h - 6) * float(low[step]) - 1,
            )
            for step in range(len(values))
        ]
        known = [not bool(np.isnan(value)) for value in values]
        for step, (x, y) in enumerate(points):
            if known[step]:
                pen.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), fill=_unit_colour(unit))
            if step and known[step] and known[step - 1]:
                pen.line((points[step - 1], (x, y)), fill=_unit_colour(unit), width=2)


def _bars(pen: ImageDraw.ImageDraw, x: int, record: Record, influence: Influence | None) -> None:
    """Draws a bar per block: its influence, or the mean of its ratio in the first branch."""
    if influence is None:
        branch = record.branches[0]
        values = [_mean(row) for row in record.ratios(branch)]
        title, texts = f"mean over the steps, {branch}", [number(value) for value in values]
    else:
        values = list(influence.blocks)
        title, texts = "change without the block", [f"{100 * value:.1f} %" for value in values]
    _title(pen, x, TOP, title)
    longest = max([1e-9, *(v for v in values if not np.isnan(v))])
    for block, (value, text) in enumerate(zip(values, texts, strict=True)):
        y = TOP + block * CELL + 4
        length = 0 if np.isnan(value) else round((WIDTH - 76) * value / longest)
        pen.rectangle((x, y, x + length, y + CELL - 9), fill=HEAT[3])
        middle = (x + length + 8, y + CELL // 2 - 4)
        pen.text(middle, text, fill=INK, font=_font(15), anchor="lm")


def _mean(row: Numbers) -> float:
    """Returns the mean over the steps in which something was injected; NaN where nothing is known."""
    some = row[row > 0]
    if len(some):
        return float(some.mean())
    return float("nan") if np.isnan(row).all() else 0.0


@cache
def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
