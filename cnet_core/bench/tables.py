"""Table: the results of a benchmark's section, as text, as JSON and as a picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image, ImageDraw

WHITE, BLACK, GREY, BLUE = "white", "black", "#dddddd", "#4477aa"
ROW, BAR, MARGIN, NAMES, BARS = 26, 16, 12, 330, 420


@dataclass(frozen=True)
class Table:
    """Rows of figures, one per measurement."""

    title: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    chart: str  # the column for the chart
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON; each row by the names of its columns."""
        rows = {n: dict(zip(self.columns, row, strict=True)) for n, row in self.rows.items()}
        return {**asdict(self), "rows": rows}

    def __str__(self) -> str:
        used = [
            i for i in range(len(self.columns)) if any(r[i] is not None for r in self.rows.values())
        ]
        lines = [["", *(self.columns[i] for i in used)]]
        lines += [[name, *(_figure(row[i]) for i in used)] for name, row in self.rows.items()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        text = [_align(line, widths) for line in lines]
        return "\n".join([self.title, *text, *self.notes])


def bar_chart(tables: list[Table]) -> Image.Image:
    """Returns a picture with a bar for every row of every table, in the column that the table names."""
    width = NAMES + BARS + 7 * MARGIN
    height = sum(ROW * (len(t.rows) + 1) + 2 * MARGIN for t in tables)
    image = Image.new("RGB", (width, height), WHITE)
    draw = ImageDraw.Draw(image)
    top = MARGIN
    for table in tables:
        top = _draw_table(draw, table, top) + 2 * MARGIN
    return image


def _draw_table(draw: ImageDraw.ImageDraw, table: Table, top: int) -> int:
    index = table.columns.index(table.chart)
    longest = max((row[index] or 0.0 for row in table.rows.values()), default=0.0) or 1.0
    draw.text((MARGIN, top), f"{table.title}: {table.chart}", BLACK)
    for name, row in table.rows.items():
        top += ROW
        value = row[index] or 0.0
        end = NAMES + BARS * value / longest
        draw.text((MARGIN, top), name, BLACK)
        draw.rectangle((NAMES, top, NAMES + BARS, top + BAR), GREY)
        draw.rectangle((NAMES, top, end, top + BAR), BLUE)
        draw.text((NAMES + BARS + MARGIN, top), _figure(row[index]), BLACK)
    return top + ROW


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _align(line: list[str], widths: list[int]) -> str:
    cells = [text.rjust(width) for text, width in zip(line, widths, strict=True)]
    return "  ".join([line[0].ljust(widths[0]), *cells[1:]])
