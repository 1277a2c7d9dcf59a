"""Points as a text such as `0:1, 0.5:0.4`: places and what holds there. Every node's text of points is read here."""

import math
import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise

#: The syntax of number texts, here and in js/scales.js.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[,; \t\r\n]+")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")

#: (position, factor) pairs, linear between them.
Points = tuple[tuple[float, float], ...]


def split_list(text: str) -> list[str]:
    """Returns the parts of a list; commas, semicolons, spaces, tabs and line breaks separate them."""
    return [part for part in _SEPARATORS.split(text) if part]


def split_pairs(text: str) -> list[list[str]]:
    """Returns the parts of a list, each cut at its colons: two halves where the part is a pair."""
    return [part.split(":") for part in split_list(_COLON.sub(":", text))]


def parse_number(text: str) -> float:
    """Returns a number written in ASCII digits, NaN for anything else; js/scales.js reads the same syntax."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def parse_points(text: str, name: str, form: str) -> Points:
    """Returns the points of a text such as `0:1, 0.5:0.4`; empty for an empty text.

    Args:
        text: pairs of finite numbers with a colon between them.
        name: of the argument, for the error.
        form: what the two numbers are and an example, for the error.

    Raises:
        ValueError: a part is something else.
    """
    pairs = [[parse_number(half) for half in pair] for pair in split_pairs(text)]
    if not all(len(pair) == 2 and all(math.isfinite(number) for number in pair) for pair in pairs):
        raise ValueError(f"`{name}` is {text!r}; write points as {form}.")
    return tuple((position, factor) for position, factor in pairs)


def rise(places: Sequence[float]) -> bool:
    """Whether each place is above the one before it."""
    return all(before < after for before, after in pairwise(places))


def interpolate(points: Points, position: float) -> float:
    """Returns the factor at a position: linear between points, constant beyond their ends."""
    index = bisect_right([p for p, _ in points], position)
    if index in (0, len(points)):
        return points[max(index - 1, 0)][1]
    (p0, f0), (p1, f1) = points[index - 1], points[index]
    return f0 + (f1 - f0) * (position - p0) / (p1 - p0)
