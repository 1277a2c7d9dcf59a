"""How well one colour stands out from another."""

from collections.abc import Sequence

#: What WCAG 2.1 asks of text.
READABLE = 4.5


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """Returns the contrast of two colours, 1..21 (WCAG 2.1); each is (red, green, blue), 0..255."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: Sequence[float]) -> float:
    """Returns the relative luminance of WCAG 2.1."""
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in (v / 255 for v in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
