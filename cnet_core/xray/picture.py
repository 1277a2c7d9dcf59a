"""The X-ray as a picture, drawn with Pillow only; readable at a third of its size, as nodes show it.

The head sums the picture up in words. Below it, each branch has a column: a heat map of |residual| / |skip| (block by
step), then each ControlNet's gain by step, then a strip per ControlNet with the steps that were evaluated, reused or
skipped. The last column: a bar per block (its influence if known, else its mean ratio), and the gain after
guidance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..engine.usage import RowState
from .head import draw_head
from .influence import Influence
from .record import Numbers, Record
from .style import (
    FAINT,
    HEAT,
    INK,
    LABEL,
    MARGIN,
    NOTHING,
    PAPER,
    SMALL,
    TITLE,
    UNITS,
    UNKNOWN,
    Colour,
    font,
    unit_colour,
)
from .text import block_name, number
from .verdict import verdict

#: Pixels: a column, a block, a plot of gains, a ControlNet's strip.
WIDTH, CELL, PLOT, STRIP = 300, 34, 150, 36
LEFT, GAP, TOP = 124, 40, 48
STATES: tuple[RowState, ...] = ("evaluated", "reused", "skipped")


@dataclass(frozen=True)
class _Box:
    x: int
    y: int
    w: int
    h: int


def draw(record: Record, influence: Influence | None = None) -> Image.Image:
    """Returns the X-ray of a run as an RGB picture; with `influence`, its bars by block."""
    ratios = [record.ratios(branch) for branch in record.branches]
    top = max(1e-6, float(np.nanmax([0.0, *(r[r > 0].max(initial=0.0) for r in ratios)])))
    body = draw_body(record, influence, top)
    said = verdict(record, influence)
    head = draw_head(said, top, body.width, has_influence=influence is not None)
    sheet = Image.new("RGB", (body.width, head.height + body.height), PAPER)
    sheet.paste(head, (0, 0))
    sheet.paste(body, (0, head.height))
    return sheet


def draw_body(record: Record, influence: Influence | None, top: float) -> Image.Image:
    """Returns the maps, plots, strips and bars; `top` has the brightest colour."""
    columns, rows = len(record.branches) + 1, record.blocks * CELL
    plots = TOP + rows + 64
    strips = plots + PLOT + 24
    bottom = strips + record.units * STRIP + 2 * LABEL + 2 * MARGIN
    size = (LEFT + columns * (WIDTH + GAP) - GAP + MARGIN, bottom if record.blocks else 1)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    if not record.blocks:
        return sheet
    ratios = [record.ratios(branch) for branch in record.branches]
    _block_names(pen, record.blocks)
    gains = [
        [record.gains(unit, branch) for unit in range(record.units)] for branch in record.branches
    ]
    highest = max(1.0, _highest(gains))
    for column, branch in enumerate(record.branches):
        x = LEFT + column * (WIDTH + GAP)
        _draw_title(pen, x, TOP, branch)
        sheet.paste(_heat(ratios[column] / top), (x, TOP))
        pen.rectangle((x - 1, TOP - 1, x + WIDTH, TOP + rows), outline=FAINT)
        _draw_lines(pen, _Box(x, plots, WIDTH, PLOT), gains[column], highest, f"gain, {branch}")
        for unit in range(record.units):
            states = record.states(unit, branch)
            sheet.paste(_strip(states, unit_colour(unit)), (x, strips + unit * STRIP))
        _draw_steps(pen, x, strips + record.units * STRIP, len(record.steps))
    _unit_names(pen, strips, record.units)
    _state_key(pen, LEFT, bottom - LABEL - MARGIN)
    last = LEFT + (columns - 1) * (WIDTH + GAP)
    _draw_bars(pen, last, record, influence)
    totals = [record.total_gains(unit) for unit in range(record.units)]
    box = _Box(last, plots, WIDTH, PLOT)
    _draw_lines(pen, box, totals, max(1.0, _highest([totals])), "gain after guidance")
    return sheet


def _block_names(pen: ImageDraw.ImageDraw, blocks: int) -> None:
    for block in range(blocks):
        y = TOP + block * CELL + CELL // 2
        name = block_name(block, blocks)
        pen.text((LEFT - 10, y), name, fill=INK, font=font(LABEL), anchor="rm")


def _draw_title(pen: ImageDraw.ImageDraw, x: int, y: int, text: str) -> None:
    pen.text((x, y - 10), text, fill=INK, font=font(TITLE), anchor="ls")


def _heat(shares: Numbers) -> Image.Image:
    """Returns the heat map of (blocks, steps), 1 for the largest; NaN is the ground, 0 is grey."""
    steps = np.clip(np.nan_to_num(shares), 0, 1)
    stops = np.linspace(0, 1, len(HEAT))
    channels = [np.interp(steps, stops, [c[k] for c in HEAT]) for k in range(3)]
    colours: NDArray[np.uint8] = np.stack(channels, axis=-1).round().astype(np.uint8)
    colours[shares == 0] = NOTHING
    colours[np.isnan(shares)] = UNKNOWN
    return _enlarge(colours, CELL * len(shares))


def _enlarge(colours: NDArray[np.uint8], height: int) -> Image.Image:
    return Image.fromarray(colours).resize((WIDTH, height), Image.Resampling.NEAREST)


def _strip(states: Sequence[frozenset[RowState]], colour: Colour) -> Image.Image:
    """Returns one line of cells: the state of a ControlNet's rows at each step."""
    line = np.array([[_state_colour(state, colour) for state in states]], dtype=np.uint8)
    return _enlarge(line, STRIP - 6)


def _state_colour(states: frozenset[RowState], colour: Colour) -> Colour:
    found: RowState | None = next((state for state in STATES if state in states), None)
    pale = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
    shown: dict[RowState | None, Colour] = {
        "evaluated": colour,
        "reused": pale,
        "skipped": NOTHING,
        None: UNKNOWN,
    }
    return shown[found]


def _unit_names(pen: ImageDraw.ImageDraw, y: int, units: int) -> None:
    for unit in range(units):
        place = (LEFT - 10, y + unit * STRIP + (STRIP - 6) // 2)
        pen.text(place, f"net {unit + 1}", fill=unit_colour(unit), font=font(LABEL), anchor="rm")


def _state_key(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for state in STATES:
        colour = _state_colour(frozenset([state]), UNITS[0])
        pen.rectangle((x, y, x + LABEL, y + LABEL), fill=colour)
        pen.text((x + LABEL + 10, y + LABEL // 2), state, fill=INK, font=font(LABEL), anchor="lm")
        x += 220


def _draw_steps(pen: ImageDraw.ImageDraw, x: int, y: int, steps: int) -> None:
    pen.text((x, y), "step 0", fill=FAINT, font=font(SMALL))
    if steps > 1:
        pen.text((x + WIDTH, y), str(steps - 1), fill=FAINT, font=font(SMALL), anchor="ra")


def _highest(lines: Sequence[Sequence[Numbers]]) -> float:
    values = np.concatenate([np.zeros(1), *(line for group in lines for line in group)])
    return float(np.nanmax(values))


def _draw_lines(
    pen: ImageDraw.ImageDraw, box: _Box, lines: Sequence[Numbers], highest: float, title: str
) -> None:
    """Draws one line per ControlNet, over the middles of its steps, from 0 to `highest`, with gaps for NaN."""
    _draw_title(pen, box.x, box.y, title)
    pen.rectangle((box.x, box.y, box.x + box.w - 1, box.y + box.h), outline=NOTHING)
    pen.line((box.x, box.y + box.h, box.x + box.w - 1, box.y + box.h), fill=FAINT)
    inner = (box.x + box.w - 6, box.y + 4)
    pen.text(inner, number(highest), fill=FAINT, font=font(SMALL), anchor="ra")
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
                pen.ellipse((x - 4, y - 4, x + 4, y + 4), fill=unit_colour(unit))
            if step and known[step] and known[step - 1]:
                pen.line((points[step - 1], (x, y)), fill=unit_colour(unit), width=4)


def _draw_bars(
    pen: ImageDraw.ImageDraw, x: int, record: Record, influence: Influence | None
) -> None:
    """Draws a bar per block: its influence, or the mean of its ratio in the first branch."""
    if influence is None:
        branch = record.branches[0]
        values = [_mean(row) for row in record.ratios(branch)]
        title, texts = f"mean, {branch}", [number(value) for value in values]
    else:
        values = list(influence.blocks)
        title, texts = "left out", [f"{100 * value:.1f} %" for value in values]
    _draw_title(pen, x, TOP, title)
    longest = max([1e-9, *(v for v in values if not np.isnan(v))])
    for block, (value, text) in enumerate(zip(values, texts, strict=True)):
        y = TOP + block * CELL + 4
        length = 0 if np.isnan(value) else round((WIDTH - 120) * value / longest)
        pen.rectangle((x, y, x + length, y + CELL - 8), fill=HEAT[3])
        middle = (x + length + 8, y + CELL // 2 - 4)
        pen.text(middle, text, fill=INK, font=font(LABEL), anchor="lm")


def _mean(row: Numbers) -> float:
    """Returns the mean over the steps with injections; NaN if nothing is known."""
    some = row[row > 0]
    if len(some):
        return float(some.mean())
    return float("nan") if np.isnan(row).all() else 0.0
