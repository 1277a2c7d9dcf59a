"""The things of the embedded world: their words, their pictures, and six glossy shapes of this project.

The pictures are one sheet, `things.webp`; `LICENSE-fluent-emoji` says whose they are.
"""

import functools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from .shapes import SHAPES

#: Word -> Unicode code point of its picture, in the order of the sheet.
THINGS: dict[str, int] = {
    "fox": 0x1F98A,
    "cat": 0x1F431,
    "bear": 0x1F43B,
    "rabbit": 0x1F430,
    "panda": 0x1F43C,
    "frog": 0x1F438,
    "pig": 0x1F437,
    "penguin": 0x1F427,
    "owl": 0x1F989,
    "whale": 0x1F433,
    "fish": 0x1F420,
    "octopus": 0x1F419,
    "turtle": 0x1F422,
    "butterfly": 0x1F98B,
    "duck": 0x1F986,
    "ladybug": 0x1F41E,
    "apple": 0x1F34E,
    "pear": 0x1F350,
    "watermelon": 0x1F349,
    "strawberry": 0x1F353,
    "pineapple": 0x1F34D,
    "avocado": 0x1F951,
    "carrot": 0x1F955,
    "mushroom": 0x1F344,
    "donut": 0x1F369,
    "cupcake": 0x1F9C1,
    "burger": 0x1F354,
    "tulip": 0x1F337,
    "sunflower": 0x1F33B,
    "cactus": 0x1F335,
    "tree": 0x1F332,
    "clover": 0x1F340,
    "car": 0x1F697,
    "bus": 0x1F68C,
    "rocket": 0x1F680,
    "airplane": 0x2708,
    "balloon": 0x1F388,
    "gem": 0x1F48E,
    "crown": 0x1F451,
    "bell": 0x1F514,
    "umbrella": 0x2602,
    "gift": 0x1F381,
    "heart": 0x2764,
    "moon": 0x1F319,
    "cloud": 0x2601,
    "teapot": 0x1FAD6,
    "hat": 0x1F3A9,
    "house": 0x1F3E0,
}
#: Every word for what a picture shows: the things, then the glossy shapes.
KINDS: tuple[str, ...] = (*THINGS, *SHAPES)
SHEET = Path(__file__).parent / "things.webp"
COLUMNS, CELL = 8, 192  # things in a row of the sheet; pixels of each, both ways

#: Pictures keep inside this range, so that an honest picture clips nowhere.
DARKEST, LIGHTEST = 0.05, 0.95
#: A pixel keeps its own colour when it is painted, if its hue differs this much (cosine) from the thing's main hue.
SAME_HUE, OTHER_HUE = 0.35, 0.0
#: Colours weaker than this (length of RGB minus gray) have no hue.
CHROMA = 0.12
#: A thing is painted whole if less of it than this has its main hue.
MAIN_SHARE = 0.68


@dataclass(frozen=True)
class Sheet:
    """The pictures of all KINDS; colours are premultiplied by `alpha`."""

    rgb: Tensor  # (K, 3, CELL, CELL)
    alpha: Tensor  # (K, 1, CELL, CELL)
    tone: Tensor  # (K, 1, CELL, CELL), times alpha: 0.5 is the painted colour, below darker, above lighter
    paint: Tensor  # (K, 1, CELL, CELL), times alpha: how far paint covers the thing's own colour


@functools.cache
def load_sheet() -> Sheet:
    """Returns the sheet, on the CPU; read once."""
    rgba = torch.cat([_emoji(), _glossy_shapes()])
    alpha = rgba[:, 3:]
    straight = rgba[:, :3]
    paint = torch.stack([_paint(c, a) for c, a in zip(straight, alpha, strict=True)])
    tone = torch.stack([_tone(c, a, p) for c, a, p in zip(straight, alpha, paint, strict=True)])
    squeezed = DARKEST + (LIGHTEST - DARKEST) * straight
    return Sheet(squeezed * alpha, alpha, tone * alpha, paint * alpha)


def article(word: str) -> str:
    """Returns `a` or `an`. No word in the vocabulary starts with a silent h or a spoken y."""
    return "an" if word[0] in "aeiou" else "a"


def _emoji() -> Tensor:
    """Returns straight RGBA of the things, each centred: (T, 4, CELL, CELL), 0..1."""
    with Image.open(SHEET, formats=["WEBP"]) as image:
        pixels = torch.from_numpy(np.asarray(image.convert("RGBA")).astype(np.float32) / 255)
    rows = math.ceil(len(THINGS) / COLUMNS)
    cells = pixels.permute(2, 0, 1).reshape(4, rows, CELL, COLUMNS, CELL)
    return cells.permute(1, 3, 0, 2, 4).reshape(-1, 4, CELL, CELL)[: len(THINGS)]


def _glossy_shapes() -> Tensor:
    """Returns straight RGBA of SHAPES, domed and lit from the upper left: (S, 4, CELL, CELL), 0..1."""
    at = (torch.arange(CELL, dtype=torch.float32) + 0.5) / CELL * 2 - 1
    v, u = torch.meshgrid(at / 0.96, at / 0.96, indexing="ij")
    return torch.stack([_glossy(shape(-v, -u)) for shape in SHAPES.values()])


def _glossy(distance: Tensor) -> Tensor:
    """Returns RGBA of a shape with rounded rim from its signed distance, in radii."""
    pixel = 2 / (0.96 * CELL)
    alpha = (0.5 - distance / pixel).clamp(0, 1)
    rim = 0.30
    inside = (-distance / rim).clamp(0, 1)
    height = _blur((1 - (1 - inside).square()).clamp(min=0).sqrt() * rim, 9)
    dy, dx = torch.gradient(height, spacing=pixel)
    normal = F.normalize(torch.stack([-dx, -dy, torch.ones_like(dx)]), dim=0)
    light = F.normalize(torch.tensor([-0.5, -0.65, 0.6]), dim=0)
    lit = (normal * light[:, None, None]).sum(0).clamp(0, 1)
    gloss = (2 * lit * normal[2] - light[2]).clamp(0, 1) ** 18
    gray = (0.20 + 0.52 * lit + 0.5 * gloss).clamp(0, 1)
    red = torch.stack([gray, gray * 0.5, gray * 0.5])  # any hue: shapes are always painted
    return torch.cat([red, alpha[None]])


def _blur(field: Tensor, width: int) -> Tensor:
    padded = F.pad(field[None, None], (width // 2,) * 4, mode="replicate")
    for _ in range(2):
        padded = F.avg_pool2d(F.pad(padded, (width // 2,) * 4, mode="replicate"), width, 1)
    cut = width // 2
    return padded[0, 0, cut:-cut, cut:-cut]


def _luminance(colour: Tensor) -> Tensor:
    return (colour * colour.new_tensor([0.30, 0.59, 0.11])[:, None, None]).sum(0, keepdim=True)


def _paint(colour: Tensor, alpha: Tensor) -> Tensor:
    """Returns what paint covers of one thing (1, H, W), 0..1: all but the parts of another hue, such as a leaf."""
    chroma = colour - _luminance(colour)
    length = chroma.square().sum(0, keepdim=True).sqrt()
    main = F.normalize((chroma * length * alpha).sum((1, 2)), dim=0)[:, None, None]
    alike = (chroma * main).sum(0, keepdim=True) / length.clamp(min=1e-4)
    own = ((SAME_HUE - alike) / (SAME_HUE - OTHER_HUE)).clamp(0, 1)
    own = own * ((length - CHROMA) / CHROMA).clamp(0, 1)
    share = 1 - float((own * alpha).sum() / alpha.sum())
    return 1 - own if share > MAIN_SHARE else torch.ones_like(own)


def _tone(colour: Tensor, alpha: Tensor, paint: Tensor) -> Tensor:
    """Returns the luminance of one thing, stretched so that its painted part has the median 0.5: (1, H, W)."""
    light = _luminance(colour)
    painted = light[(alpha > 0.9) & (paint > 0.5)]
    low, middle, high = (float(painted.quantile(q)) for q in (0.01, 0.5, 0.99))
    below = 0.5 * (light - low) / max(middle - low, 0.05)
    above = 0.5 + 0.5 * (light - middle) / max(high - middle, 0.08)
    return torch.where(light < middle, below.clamp(min=0), above.clamp(max=1))
