"""Line plots as pictures, drawn with Pillow only; readable at half their size, as nodes show them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 124, 30, 100, 84  # margins
TITLE, LABEL, TICK = 32, 26, 24  # pixels, high
PAPER, INK, FAINT, GRID = (24, 24, 27), (236, 236, 240), (165, 165, 173), (62, 62, 67)
#: Colour-blind people can also distinguish them (Okabe and Ito's, on a dark ground).
COLOURS = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 178, 130),
    (214, 140, 184),
    (240, 228, 66),
    (200, 200, 206),
)
TICKS = 5
SPACE = 24  # between the names of the legend

PlotPoints = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Axes:
    low: tuple[float, float]
    high: tuple[float, float]
    log: bool

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Returns the pixel of a point."""
        across = (x - self.low[0]) / (self.high[0] - self.low[0])
        up = (self._scale(y) - self.low[1]) / (self.high[1] - self.low[1])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (
            HEIGHT - TOP - BOTTOM
        )

    def value(self, up: float) -> float:
        """Returns the value at a fraction of the height."""
        scaled = self.low[1] + up * (self.high[1] - self.low[1])
        return 10**scaled if self.log else scaled

    def _scale(self, y: float) -> float:
        return math.log10(y) if self.log else y


def line_plot(
    series: Mapping[str, PlotPoints],
    title: str,
    *,
    log: bool = False,
    marks: Mapping[str, float] | None = None,
    levels: Mapping[str, float] | None = None,
    percent: bool = False,
) -> Image.Image:
    """Returns a plot over steps.

    Args:
        series: label -> (step, value) points; without values that are not finite, and with `log` without those not
            above 0. Labels before a "/" share their colour.
        title: above it.
        log: whether the values' axis is logarithmic.
        marks: label -> step of vertical lines.
        levels: label -> value of horizontal lines.
        percent: whether the values are fractions, to be shown in percent.
    """
    shown = {name: [p for p in points if _drawable(p[1], log)] for name, points in series.items()}
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((RIGHT, 12), title, fill=INK, font=ImageFont.load_default(TITLE))
    everything = [p for points in shown.values() for p in points]
    levels = levels or {}
    reach = [(everything[0][0], value) for value in levels.values()] if everything else []
    axes = _axes([*everything, *reach], log)
    _draw_grid(draw, axes, percent)
    for label, value in levels.items():
        _draw_level(draw, axes, label, value)
    for label, step in (marks or {}).items():
        x, _ = axes.place(step, axes.value(0))
        draw.line([(x, TOP), (x, HEIGHT - BOTTOM)], fill=FAINT, width=2)
        _draw_mark(draw, x, label)
    kinds = list(dict.fromkeys(name.partition("/")[0] for name in shown))
    for name, points in shown.items():
        colour = COLOURS[kinds.index(name.partition("/")[0]) % len(COLOURS)]
        if len(points) > 1:
            draw.line([axes.place(*p) for p in points], fill=colour, width=4)
    _draw_legend(draw, kinds)
    return image


def _axes(points: PlotPoints, log: bool) -> _Axes:
    xs = [x for x, _ in points] or [0.0]
    ys = [math.log10(y) if log else y for _, y in points] or [0.0]
    low, high = (min(xs), min(ys)), (max(xs), max(ys))
    room = (high[1] - low[1]) * 0.05 or 0.5
    below, above = low[1] - room, high[1] + room
    if not log:
        below, above = _round_range(low[1], high[1] if high[1] > low[1] else above)
    return _Axes((low[0], below), (max(high[0], low[0] + 1), above), log)


def _round_range(low: float, high: float) -> tuple[float, float]:
    """Returns the smallest range around two values that TICKS round steps fill."""
    power = 10.0 ** math.floor(math.log10((high - low) / TICKS))
    steps = (power * factor for factor in (1, 2, 2.5, 5, 10, 20, 25))
    ranges = ((begin := math.floor(low / step) * step, begin + TICKS * step) for step in steps)
    return next(found for found in ranges if found[1] >= high)


def _draw_level(draw: ImageDraw.ImageDraw, axes: _Axes, label: str, value: float) -> None:
    """Draws a horizontal line with its label at its right end, above it."""
    y = axes.place(axes.low[0], value)[1]
    draw.line([(LEFT, y), (WIDTH - RIGHT, y)], fill=FAINT, width=2)
    font = ImageFont.load_default(TICK)
    draw.text((WIDTH - RIGHT - 4, y - 4), label, fill=FAINT, font=font, anchor="rb")


def _draw_grid(draw: ImageDraw.ImageDraw, axes: _Axes, percent: bool) -> None:
    font = ImageFont.load_default(TICK)
    for tick in range(TICKS + 1):
        share = tick / TICKS
        y = axes.place(axes.low[0], axes.value(share))[1]
        draw.line([(LEFT, y), (WIDTH - RIGHT, y)], fill=GRID)
        value = axes.value(share)
        value = round(value, 12) + 0.0  # no -0
        shown = f"{100 * value:.3g} %" if percent else f"{value:.3g}"
        draw.text((LEFT - 8, y), shown, fill=FAINT, font=font, anchor="rm")
        step = axes.low[0] + share * (axes.high[0] - axes.low[0])
        x = axes.place(step, axes.value(0))[0]
        draw.text((x, HEIGHT - BOTTOM + 8), f"{step:.0f}", fill=FAINT, font=font, anchor="mt")
    draw.text((WIDTH / 2, HEIGHT - 8), "step", fill=FAINT, font=font, anchor="mb")


def _draw_mark(draw: ImageDraw.ImageDraw, x: float, label: str) -> None:
    """Writes a mark's label on the side of its line with more room."""
    side, anchor = (8, "la") if x < WIDTH / 2 else (-8, "ra")
    font = ImageFont.load_default(TICK)
    draw.text((x + side, TOP + 4), label, fill=FAINT, font=font, anchor=anchor)


def _draw_legend(draw: ImageDraw.ImageDraw, kinds: Sequence[str]) -> None:
    """Writes the names in one row, smaller where they would not fit."""
    font = ImageFont.load_default(LABEL)
    room = WIDTH - 2 * RIGHT - SPACE * (len(kinds) - 1)
    wide = sum(draw.textlength(kind, font=font) for kind in kinds)
    if wide > room:
        font = ImageFont.load_default(LABEL * room / wide)
    x = float(WIDTH - RIGHT)
    for index in reversed(range(len(kinds))):
        x -= draw.textlength(kinds[index], font=font)
        draw.text((x, 58), kinds[index], fill=COLOURS[index % len(COLOURS)], font=font)
        x -= SPACE


def _drawable(value: float, log: bool) -> bool:
    return math.isfinite(value) and (value > 0 or not log)
