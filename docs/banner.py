"""Draws the registry's pictures, docs/images/icon.png and banner.png: `python docs/banner.py [--out FOLDER]`.

The embedded model paints what they show: a hint in one half, the picture that follows it in the other. The registry
takes an icon of at most 800 x 400 pixels and a banner of 21:9.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

import cnet_core as cn
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.demo import DEFAULT_KIND, DEFAULT_PROMPT, DemoSettings
from cnet_core.tiny.drawn_hint import draw_hint
from cnet_core.tiny.sheet import to_image

OUT = Path(__file__).parent / "images"
ICON = 400
BANNER = (1680, 720)
MARGIN, TILE = 100, 520
PAPER, INK, QUIET, CORAL = (14, 18, 38), (244, 243, 238), (150, 158, 186), (236, 112, 84)
TITLE = "cnet-nodes"
LINES = (
    "ControlNet for any Stable Diffusion UNet",
    "Choose the branch. Choose the block. See what it did.",
)
SMOOTH = 4  # drawn this many times larger, then reduced
FINE = 256  # pixels of the hint that is shown; the model's own has 128


def paint_tile(model: TinyStableDiffusion) -> Image.Image:
    """Returns what the model paints along the edges of DEFAULT_KIND, with the demonstration's settings."""
    settings = DemoSettings()
    unit = cn.ControlUnit(model.control_net, draw_hint(DEFAULT_KIND)[0])
    *_, latents = model.sample(
        [DEFAULT_PROMPT],
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        seed=settings.seed,
        units=[unit],
    )
    return to_image(model.decode(latents)[0])


def halves(left: Image.Image, right: Image.Image, side: int) -> Image.Image:
    """Returns a square with round corners: `left` on the left of a slanted edge, `right` on its right."""
    large = side * SMOOTH
    both = right.resize((large, large), Image.Resampling.BICUBIC)
    cut = Image.new("L", (large, large), 0)
    edge = ((0.62 * large, 0), (0.38 * large, large))
    ImageDraw.Draw(cut).polygon([(0, 0), *edge, (0, large)], fill=255)
    both.paste(left.resize((large, large), Image.Resampling.BICUBIC), mask=cut)
    ImageDraw.Draw(both).line(edge, fill=INK, width=large // 90)
    both.putalpha(_round(large, large // 9))
    return both.resize((side, side), Image.Resampling.LANCZOS)


def draw_banner(tile: Image.Image) -> Image.Image:
    """Returns the banner: name, two lines and the soft schedule's bars on the left, the tile on the right."""
    sheet = Image.new("RGB", BANNER, PAPER)
    top = (BANNER[1] - TILE) // 2
    sheet.paste(tile, (BANNER[0] - MARGIN - TILE, top), tile)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, top + 40), TITLE, fill=INK, font=ImageFont.load_default(120))
    for i, line in enumerate(LINES):
        colour = (INK, QUIET)[i]
        draw.text(
            (MARGIN + 4, top + 200 + 52 * i), line, fill=colour, font=ImageFont.load_default(36)
        )
    _draw_bars(draw, MARGIN + 4, top + TILE - 30, cn.BlockScales.soft())
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the registry's icon and banner.")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    out = parser.parse_args().out
    with torch.no_grad():
        picture = paint_tile(TinyStableDiffusion.load())
    hint = to_image(draw_hint(DEFAULT_KIND, side=FINE)[0][0])
    halves(hint, picture, ICON).save(out / "icon.png", optimize=True)
    draw_banner(halves(hint, picture, TILE)).save(out / "banner.png", optimize=True)


def _draw_bars(draw: ImageDraw.ImageDraw, x: int, floor: int, scales: cn.BlockScales) -> None:
    """Draws one bar a block, shallow to deep."""
    for i, value in enumerate(scales.values(cn.SD15.block_sizes(64, 64))):
        left = x + 46 * i
        draw.rectangle((left, floor - 130 * value, left + 30, floor), fill=CORAL)


def _round(side: int, radius: int) -> Image.Image:
    mask = Image.new("L", (side, side), 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, side - 1, side - 1), radius, fill=255)
    return mask


if __name__ == "__main__":
    main()
