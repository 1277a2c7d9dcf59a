"""BlockScales: how much control each block gets, and how much at each point of the run."""

import math
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

#: The released guess mode's base, 10^(-1/12) cut to three digits (lllyasviel/ControlNet, gradio_canny2image.py).
SOFT_BASE = 0.825
#: sd-webui-controlnet's list is always made for 13 blocks, and cut to the first 10 for SDXL.
WEBUI_BLOCKS = 13
#: The syntax of number texts, here and in js/scales.js.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
_SEPARATORS = re.compile(r"[,; \t\r\n]+")
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")


@dataclass(frozen=True)
class BlockScales:
    """A profile, its parameters, and an optional curve over the run."""

    profile: str = "uniform"
    base: float = SOFT_BASE
    reference: float | None = None
    normalised: bool = True
    numbers: tuple[float, ...] = ()
    curve: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.profile not in _PROFILES:
            raise ValueError(
                f"`profile` is {self.profile!r}; it must be one of {', '.join(_PROFILES)}."
            )
        if self.profile == "custom" and not self.numbers:
            raise ValueError(
                "`custom` needs its scales: one number per block (13 for SD1.x and SD2.x, 10 for SDXL)."
            )
        for name, values in (("scale", self.numbers), ("factor", [f for _, f in self.curve])):
            if not all(math.isfinite(v) for v in values):
                raise ValueError(f"A {name} of {tuple(values)} is not a finite number.")
        if not all(
            0 < value < math.inf
            for value in (self.base, 1.0 if self.reference is None else self.reference)
        ):
            raise ValueError(
                f"`base` ({self.base}) and `reference` ({self.reference}) must be above 0."
            )

    @classmethod
    def uniform(cls) -> "BlockScales":
        """1 for every block."""
        return cls("uniform")

    @classmethod
    def soft(cls, base: float = SOFT_BASE) -> "BlockScales":
        """base^(n-1-i): weak at the shallow blocks, 1 at the middle; the released guess mode with 0.825."""
        return cls("soft", base=base)

    @classmethod
    def logspace(cls) -> "BlockScales":
        """10^(-1 + i/(n-1)), from 0.1 to 1: diffusers' guess mode."""
        return cls("logspace")

    @classmethod
    def resolution(cls, normalised: bool = True, reference: float | None = None) -> "BlockScales":
        """reference / h_i, h_i the block's latent side: the paper's 64/h_i (section 3.2, CFG resolution weighting).

        Args:
            normalised: divide by the largest, so that the deepest blocks get 1.
            reference: the numerator; None is the largest block's side (64 for SD1.x at 512 px).
        """
        return cls("resolution", normalised=normalised, reference=reference)

    @classmethod
    def webui(cls) -> "BlockScales":
        """0.825^(12-i), for SDXL too: sd-webui-controlnet and Forge compute 13 and use the first ones."""
        return cls("webui")

    @classmethod
    def custom(cls, numbers: Sequence[float]) -> "BlockScales":
        """These numbers, shallow to deep, middle last."""
        return cls("custom", numbers=tuple(float(n) for n in numbers))

    def over_time(self, points: Sequence[tuple[float, float]]) -> "BlockScales":
        """Returns these scales with a curve over the whole run: (percent, factor) points, linear between them.

        Raises:
            ValueError: percents outside 0..1 or not rising.
        """
        percents = [p for p, _ in points]
        if any(not 0 <= p <= 1 for p in percents) or any(a >= b for a, b in pairwise(percents)):
            raise ValueError(f"The percents {percents} of a time curve must rise and lie in 0..1.")
        return replace(self, curve=tuple((float(p), float(f)) for p, f in points))

    def at(self, percent: float) -> float:
        """Returns the curve's factor at `percent` of the run; 1 without a curve, constant beyond its ends."""
        if not self.curve:
            return 1.0
        index = bisect_right([p for p, _ in self.curve], percent)
        if index in (0, len(self.curve)):
            return self.curve[max(index - 1, 0)][1]
        (p0, f0), (p1, f1) = self.curve[index - 1], self.curve[index]
        return f0 + (f1 - f0) * (percent - p0) / (p1 - p0)

    def values(self, block_sizes: Sequence[float]) -> tuple[float, ...]:
        """Returns one scale per block, shallow to deep, middle last.

        Args:
            block_sizes: the latent side sqrt(h*w) of each block, as `UNetConfig.block_sizes` gives them.

        Raises:
            ValueError: `custom` has another number of scales than there are blocks.
        """
        values = _PROFILES[self.profile](self, block_sizes)
        if len(values) != len(block_sizes):
            raise ValueError(
                f"`custom_scales` has {len(values)} values, but this ControlNet has {len(block_sizes)} blocks; give "
                "one for each, shallow to deep, middle last (13 for SD1.x and SD2.x, 10 for SDXL)."
            )
        return values


def parse_scales(text: str) -> tuple[float, ...]:
    """Returns the numbers of a text such as `0.1, 0.5, 1`; empty for an empty text.

    Commas, semicolons, spaces, tabs and line breaks separate them.

    Raises:
        ValueError: a part is not a finite number.
    """
    numbers = tuple(_number(part) for part in _SEPARATORS.split(text) if part)
    if not all(math.isfinite(n) for n in numbers):
        raise ValueError(
            f"`custom_scales` is {text!r}; write numbers such as 0.1, 0.5, 1, shallow to deep, middle last."
        )
    return numbers


def parse_curve(text: str) -> tuple[tuple[float, float], ...]:
    """Returns the (percent, factor) points of a text such as `0:1, 0.5:0.4`; empty for an empty text.

    Raises:
        ValueError: a part is not two finite numbers with a colon between them.
    """
    parts = _SEPARATORS.split(_COLON.sub(":", text))
    pairs = [[_number(half) for half in part.split(":")] for part in parts if part]
    if not all(len(pair) == 2 and all(math.isfinite(number) for number in pair) for pair in pairs):
        raise ValueError(
            f"`time_curve` is {text!r}; write points as percent:factor, such as 0:1, 0.5:0.4."
        )
    return tuple((percent, factor) for percent, factor in pairs)


def _number(text: str) -> float:
    """Returns a number written in ASCII digits, NaN for anything else; js/scales.js reads the same syntax."""
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _soft(scales: BlockScales, sizes: Sequence[float]) -> tuple[float, ...]:
    last = len(sizes) - 1
    return tuple(scales.base ** (last - i) for i in range(len(sizes)))


def _logspace(scales: BlockScales, sizes: Sequence[float]) -> tuple[float, ...]:
    return tuple(10 ** (-1 + i / (len(sizes) - 1)) for i in range(len(sizes)))


def _resolution(scales: BlockScales, sizes: Sequence[float]) -> tuple[float, ...]:
    reference = max(sizes) if scales.reference is None else scales.reference
    raw = [reference / size for size in sizes]
    return tuple(r / max(raw) for r in raw) if scales.normalised else tuple(raw)


def _webui(scales: BlockScales, sizes: Sequence[float]) -> tuple[float, ...]:
    return tuple(SOFT_BASE ** (WEBUI_BLOCKS - 1 - i) for i in range(len(sizes)))


#: Profile -> one scale per block from the blocks' sides.
_PROFILES: dict[str, Callable[[BlockScales, Sequence[float]], tuple[float, ...]]] = {
    "uniform": lambda scales, sizes: (1.0,) * len(sizes),
    "soft": _soft,
    "logspace": _logspace,
    "resolution": _resolution,
    "webui": _webui,
    "custom": lambda scales, sizes: scales.numbers,
}
