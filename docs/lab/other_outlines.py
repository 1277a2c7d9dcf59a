"""24 outlines that the embedded model's data do not come from: 12 drawn by hand-like strokes, 12 of clip art.

`python docs/lab/other_outlines.py PACKAGE.deb` draws them again into other_outlines.png. PACKAGE.deb is Debian's
openclipart-png (`apt-get download openclipart-png`), whose pictures are in the public domain.
"""

import hashlib
import math
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from strokes import STROKES, Point, Stroke
from torch import Tensor

from cnet_core.control.edges import find_edges

SHEET = Path(__file__).with_suffix(".png")
SIDE = 128  # pixels of one outline
#: In the package, without the suffix.
CLIP_ART = (
    "animals/mammals/contour_hamster",
    "animals/mammals/dolphin",
    "animals/birds/dove_symbol",
    "animals/birds/cormorant-md",
    "food/fruit/banana",
    "food/fruit/lemon",
    "food/desserts/cone_soft_vanilla",
    "tools/blacksmith_anvil_ganson",
    "people/clothing/mitten_nathan_eady_01",
    "people/clothing/t-shirt_01",
    "plants/acorn_jonathan_dietrich_01",
    "recreation/toys/simple_teddy_bear_gerald_01",
)
PACKAGE_SHA256 = "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02"
#: A hand misses its line by this much, and ends a stroke this much too early or too late; in pixels.
WOBBLE, MISS = 1.2, 2.5
PEN = 2.2  # pixels
LARGEST = 105  # the longer side of a clip art, in pixels
FINE = 4  # drawn this many times larger, then reduced
#: Maps of 8-bit values: to 0 or 255, to what is visible at all, to 16 grays.
HALF = [255 * (value > 127) for value in range(256)]
VISIBLE = [255 * (value > 32) for value in range(256)]
GRAYS = [round(value / 17) * 17 for value in range(256)]


@dataclass(frozen=True)
class Outlines:
    """Outlines as hints, and what each goes around."""

    names: tuple[str, ...]
    hints: Tensor  # (N, 3, SIDE, SIDE), 0..1
    masks: Tensor  # (N, SIDE, SIDE), bool


def load() -> Outlines:
    """Returns the outlines, those drawn by hand first."""
    with Image.open(SHEET) as image:
        pixels = torch.from_numpy(np.asarray(image.convert("L")).astype(np.float32) / 255)
    rows = pixels.reshape(4, SIDE, -1, SIDE).transpose(1, 2)  # (4, 12, SIDE, SIDE)
    hints, masks = torch.cat([rows[0], rows[2]]), torch.cat([rows[1], rows[3]])
    names = (*STROKES, *(path.rpartition("/")[2] for path in CLIP_ART))
    return Outlines(names, hints[:, None].expand(-1, 3, -1, -1).contiguous(), masks > 0.5)


def draw_by_hand(strokes: list[Stroke], seed: int) -> tuple[Image.Image, Image.Image]:
    """Returns what a hand draws that follows strokes, each a little off, and the area that it goes around."""
    rng = random.Random(seed)
    lines = [_wobble(_smooth(stroke), rng) for stroke in strokes]
    large = SIDE * FINE
    hint, mask = Image.new("L", (large, large)), Image.new("L", (large, large))
    corners = [point for line in lines for point in line]
    ImageDraw.Draw(mask).polygon([_scale(p) for p in corners], fill=255)
    for line in lines:
        points = [_scale(p) for p in _miss_ends(line, rng)]
        ImageDraw.Draw(hint).line(points, fill=255, width=round(PEN * FINE), joint="curve")
    reduced = [image.resize((SIDE, SIDE), Image.Resampling.BOX) for image in (hint, mask)]
    return reduced[0], reduced[1].point(HALF)


def read_clip_art(package: Path) -> list[tuple[Image.Image, Image.Image]]:
    """Returns the edges of CLIP_ART on white, and where each covers its ground."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    if digest != PACKAGE_SHA256:
        raise SystemExit(
            f"{package} has the SHA-256 {digest}; 1:0.18+dfsg-19 has {PACKAGE_SHA256}."
        )
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
        pictures = Path(folder) / "usr/share/openclipart/png"
        return [_trace(Image.open(pictures / f"{name}.png").convert("RGBA")) for name in CLIP_ART]


def main() -> None:
    """Draws the sheet: hints above masks, by hand above clip art."""
    by_hand = [draw_by_hand(strokes, seed) for seed, strokes in enumerate(STROKES.values())]
    clip_art = read_clip_art(Path(sys.argv[1]))
    sheet = Image.new("L", (len(CLIP_ART) * SIDE, 4 * SIDE))
    for column, pictures in enumerate(zip(by_hand, clip_art, strict=True)):
        for row, picture in enumerate(picture for pair in pictures for picture in pair):
            sheet.paste(picture, (column * SIDE, row * SIDE))
    sheet.point(GRAYS).save(SHEET, optimize=True)
    print(f"{SHEET}: {SHEET.stat().st_size} bytes")


def _smooth(stroke: Stroke) -> list[Point]:
    """Returns points close together on the Catmull-Rom curve through a stroke's points."""
    padded = [stroke[0], *stroke, stroke[-1]]
    found: list[Point] = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for k in range(16):
            t = k / 16
            weights = (
                (-t + 2 * t**2 - t**3) / 2,
                (2 - 5 * t**2 + 3 * t**3) / 2,
                (t + 4 * t**2 - 3 * t**3) / 2,
                (-(t**2) + t**3) / 2,
            )
            x, y = (
                sum(w * p[axis] for w, p in zip(weights, (a, b, c, d), strict=True))
                for axis in (0, 1)
            )
            found.append((x, y))
    return [*found, stroke[-1]]


def _wobble(line: list[Point], rng: random.Random) -> list[Point]:
    """Returns a line with two slow waves across it, of at most WOBBLE pixels; its ends stay."""
    waves = [(rng.uniform(0.03, 0.12), rng.uniform(0, 2 * math.pi)) for _ in range(4)]
    found: list[Point] = []
    gone, whole = 0.0, sum(math.dist(a, b) for a, b in pairwise(line))
    for index, (x, y) in enumerate(line):
        gone += math.dist(line[index - 1], (x, y)) if index else 0
        most = WOBBLE / 2 * min(1.0, gone / 8, (whole - gone) / 8)
        dx, dy = (
            most * sum(math.sin(2 * math.pi * f * gone / 2 + phase) for f, phase in pair)
            for pair in (waves[:2], waves[2:])
        )
        found.append((x + dx, y + dy))
    return found


def _miss_ends(line: list[Point], rng: random.Random) -> list[Point]:
    """Returns a line that begins and ends up to MISS pixels away from where it should, along itself."""
    return _move_end(_move_end(line, rng)[::-1], rng)[::-1]


def _move_end(line: list[Point], rng: random.Random) -> list[Point]:
    miss = rng.uniform(-MISS, MISS)
    if miss < 0:
        kept = [p for p in line if math.dist(p, line[-1]) > -miss]
        return kept if len(kept) > 1 else line
    (x, y), (bx, by) = line[-1], line[-4]
    length = math.dist(line[-1], line[-4])
    return [*line, (x + miss * (x - bx) / length, y + miss * (y - by) / length)]


def _scale(point: Point) -> Point:
    return point[0] * FINE, point[1] * FINE


def _trace(picture: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Returns the edges of a picture on white and its cover, as large as its longer side allows, centred."""
    picture = picture.crop(picture.getchannel("A").point(VISIBLE).getbbox())
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    cell = Image.new("RGBA", (SIDE, SIDE))
    cell.paste(picture, ((SIDE - picture.width) // 2, (SIDE - picture.height) // 2))
    on_white = Image.new("RGBA", cell.size, "white")
    on_white.alpha_composite(cell)
    pixels = torch.from_numpy(np.asarray(on_white.convert("RGB")).astype(np.float32) / 255)
    edges = find_edges(pixels.permute(2, 0, 1)[None])[0, 0]
    return Image.fromarray(np.asarray((edges * 255).byte())), cell.getchannel("A").point(HALF)


if __name__ == "__main__":
    main()
