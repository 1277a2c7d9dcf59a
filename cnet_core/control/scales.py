"""BlockScales: how much control each block gets, and how much at each point of the run."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from .axis import BlockAxis
from .points import Points, interpolate, parse_number, parse_points, rise, split_list

#: The released guess mode's base, 10^(-1/12) cut to three digits (lllyasviel/ControlNet, gradio_canny2image.py).
SOFT_BASE = 0.825
#: sd-webui-controlnet's list is always made for 13 blocks, and cut to the first 10 for SDXL.
WEBUI_BLOCKS = 13
_EXAMPLE = "such as 0:1, 0.5:0.4"


@dataclass(frozen=True)
class BlockScales:
    """A profile, its parameters, and an optional curve over the run."""

    profile: str = "uniform"
    base: float = SOFT_BASE
    reference: float | None = None
    normalised: bool = True
    numbers: tuple[float, ...] = ()
    curve: Points = ()
    points: Points = ()  # of `custom`, in place of numbers

    def __post_init__(self) -> None:
        if self.profile not in _PROFILES:
            raise ValueError(
                f"`profile` is {self.profile!r}; it must be one of {', '.join(_PROFILES)}."
            )
        if self.profile == "custom" and not self.numbers and not self.points:
            raise ValueError(
                "`custom` needs its scales: one number per block (13 for SD1.x and SD2.x, 10 for SDXL), or points "
                "such as 0:0.2, 1:1 for any ControlNet."
            )
        factors = [f for _, f in (*self.curve, *self.points)]
        for name, values in (("scale", self.numbers), ("factor", factors)):
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

    @classmethod
    def custom_points(cls, points: Sequence[tuple[float, float]]) -> "BlockScales":
        """(position, factor) points, linear between them: 0 is the finest detail, 1 the layout. They fit any net.

        Raises:
            ValueError: positions outside 0..1 or not rising.
        """
        return cls("custom", points=_rising(points, "The positions {} of `custom_scales`"))

    def over_time(self, points: Sequence[tuple[float, float]]) -> "BlockScales":
        """Returns these scales with a curve over the whole run: (percent, factor) points, linear between them.

        Raises:
            ValueError: percents outside 0..1 or not rising.
        """
        return replace(self, curve=_rising(points, "The percents {} of a time curve"))

    def at(self, percent: float) -> float:
        """Returns the curve's factor at `percent` of the run; 1 without a curve, constant beyond its ends."""
        return interpolate(self.curve, percent) if self.curve else 1.0

    def values(self, block_sizes: Sequence[float]) -> tuple[float, ...]:
        """Returns one scale per block, shallow to deep, middle last.

        Args:
            block_sizes: the latent side sqrt(h*w) of each block, as `UNetConfig.block_sizes` gives them.

        Raises:
            ValueError: `custom` has another number of scales than there are blocks.
        """
        return self.along(BlockAxis.of_unet(block_sizes))

    def along(self, axis: BlockAxis) -> tuple[float, ...]:
        """Returns one scale for each block of any control net.

        Raises:
            ValueError: `custom` has another number of scales than there are blocks, or `resolution` is asked of a
                net whose blocks have no height and width.
        """
        values = _PROFILES[self.profile](self, axis)
        check_count(len(values), len(axis.depths))
        return values


def check_count(values: int, blocks: int) -> None:
    """Raises ValueError unless there is one scale for each block."""
    if values != blocks:
        raise ValueError(
            f"`custom_scales` has {values} values, but this ControlNet has {blocks} blocks; give one for each, from "
            "detail to layout (13 for SD1.x and SD2.x, 10 for SDXL, the middle last), or points such as 0:0.2, 1:1."
        )


def custom_scales(text: str) -> BlockScales:
    """Returns the scales of a text: numbers such as `0.1, 0.5, 1`, or points such as `0:0.2, 1:1`.

    Raises:
        ValueError: the text is empty, or neither.
    """
    if ":" in text:
        return BlockScales.custom_points(
            parse_points(text, "custom_scales", f"position:factor, {_EXAMPLE}")
        )
    return BlockScales.custom(parse_scales(text))


def parse_scales(text: str) -> tuple[float, ...]:
    """Returns the numbers of a text such as `0.1, 0.5, 1`; empty for an empty text.

    Commas, semicolons, spaces, tabs and line breaks separate them.

    Raises:
        ValueError: a part is not a finite number.
    """
    numbers = tuple(parse_number(part) for part in split_list(text))
    if not all(math.isfinite(n) for n in numbers):
        raise ValueError(
            f"`custom_scales` is {text!r}; write numbers such as 0.1, 0.5, 1, shallow to deep, middle last."
        )
    return numbers


def parse_curve(text: str) -> Points:
    """Returns the (percent, factor) points of a text such as `0:1, 0.5:0.4`; empty for an empty text.

    Raises:
        ValueError: a part is not two finite numbers with a colon between them.
    """
    return parse_points(text, "time_curve", f"percent:factor, {_EXAMPLE}")


def _rising(points: Sequence[tuple[float, float]], name: str) -> Points:
    """Returns the points; raises ValueError unless their positions rise within 0..1."""
    places = [p for p, _ in points]
    if any(not 0 <= p <= 1 for p in places) or not rise(places):
        raise ValueError(f"{name.format(places)} must rise and lie in 0..1.")
    return tuple((float(p), float(f)) for p, f in points)


def _soft(scales: BlockScales, axis: BlockAxis) -> tuple[float, ...]:
    return tuple(scales.base ** (axis.last - depth) for depth in axis.depths)


def _logspace(scales: BlockScales, axis: BlockAxis) -> tuple[float, ...]:
    return tuple(10 ** (-1 + position) for position in axis.positions)


def _resolution(scales: BlockScales, axis: BlockAxis) -> tuple[float, ...]:
    if axis.sizes is None:
        raise ValueError(
            "`profile` resolution needs blocks of different sizes, but this ControlNet's model works on tokens, all "
            "of one size. Use soft, logspace, or custom with points such as 0:0.2, 1:1."
        )
    reference = axis.largest if scales.reference is None else scales.reference
    raw = [reference / size for size in axis.sizes]
    return tuple(r / max(raw) for r in raw) if scales.normalised else tuple(raw)


def _webui(scales: BlockScales, axis: BlockAxis) -> tuple[float, ...]:
    return tuple(SOFT_BASE ** (WEBUI_BLOCKS - 1 - depth) for depth in axis.depths)


def _custom(scales: BlockScales, axis: BlockAxis) -> tuple[float, ...]:
    if scales.points:
        return tuple(interpolate(scales.points, position) for position in axis.positions)
    return scales.numbers


#: Profile -> one scale for each block of an axis.
_PROFILES: dict[str, Callable[[BlockScales, BlockAxis], tuple[float, ...]]] = {
    "uniform": lambda scales, axis: (1.0,) * len(axis.depths),
    "soft": _soft,
    "logspace": _logspace,
    "resolution": _resolution,
    "webui": _webui,
    "custom": _custom,
}
