"""Draws the pictures that open the users' pages: `python docs/pictures.py [NAME …] [--out docs/images]`.

Each is a row of pictures that the embedded model makes from one hint and one seed. *Follows* is the overlap of the
thing that it draws with the one that the hint shows. Run this again when the embedded model changes.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

import cnet_core as cn
from cnet_core.diffusion.noise_schedule import TIMESTEPS, add_noise, alphas_cumprod
from cnet_core.diffusion.samplers import ddim, last
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.demo import OPEN_PROMPT
from cnet_core.tiny.drawn_hint import draw_hint
from cnet_core.tiny.measure import iou, thing_mask
from cnet_core.tiny.sheet import to_image

OUT = Path(__file__).parent / "images"
CELL, GAP, CAPTION, MARGIN = 224, 10, 44, 12
PAPER, INK, FAINT = (250, 250, 248), (25, 25, 28), (110, 110, 116)
SIDE = 128
WATERMELON = "a watermelon on a sky background"
#: `tiles` draws a picture of 2 x 2 tiles, each of the model's own size.
DENOISE = 0.3
TILES = [(y, x) for y in (0, SIDE) for x in (0, SIDE)]


@dataclass(frozen=True)
class Cell:
    """One picture of a row, with a title and a note below."""

    title: str
    note: str
    picture: Image.Image


class Painter:
    """The embedded model with a seed; `quick` takes one step, for tests."""

    def __init__(self, quick: bool = False) -> None:
        self.model = TinyStableDiffusion.load()
        self.steps = 1 if quick else 20

    def unit(self, hint: Tensor) -> cn.ControlUnit:
        """Returns control by the embedded ControlNet, at full strength."""
        return cn.ControlUnit(self.model.control_net, hint)

    def paint(self, prompt: str, units: Sequence[cn.ControlUnit]) -> Tensor:
        """Returns a picture: (1, 3, SIDE, SIDE), not clamped."""
        *_, latents = self.model.sample(
            [prompt], steps=self.steps, cfg_scale=7.5, seed=0, units=list(units)
        )
        return self.model.decode(latents)

    def repaint(self, picture: Tensor, prompt: str, unit: cn.ControlUnit) -> Tensor:
        """Returns a picture (1, 3, SIDE, SIDE), noised up to DENOISE and sampled from there without guidance."""
        alphas = alphas_cumprod()[: round(DENOISE * TIMESTEPS)]
        clean = self.model.autoencoder.encode(picture)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        noisy = add_noise(clean, noise, torch.tensor([len(alphas) - 1]))
        context = self.model.text([prompt])
        with cn.patch_unet(self.model.unet, unit, rows=("cond",)):
            steps = ddim(lambda x, t: self.model.unet(x, t, context), noisy, self.steps, alphas)
            return self.model.decode(last(steps))


def prompt_in_charge(painter: Painter) -> list[Cell]:
    """The outline of a star, and a prompt that says watermelon."""
    usual = painter.unit(draw_hint("star")[0])
    ways = {
        "control as usual": usual,
        "strength 0.5": replace(usual, strength=0.5),
        "end_percent 0.5": replace(usual, end_percent=0.5),
        "scales: webui": replace(usual, scales=cn.BlockScales.webui()),
    }
    return row(painter, "star", WATERMELON, ways)


def follow_loosely(painter: Painter) -> list[Cell]:
    """The outline of a star, and a prompt that leaves the shape open."""
    usual = painter.unit(draw_hint("star")[0])
    coarse = cn.BlockScales.custom([0.0] * 3 + [1.0] * 10)
    falling = cn.BlockScales.uniform().over_time([(0, 1), (0.5, 0.4)])
    ways = {
        "control as usual": usual,
        "0 in blocks 0 to 2": replace(usual, scales=coarse),
        "time_curve 0:1, 0.5:0.4": replace(usual, scales=falling),
        "end_percent 0.6": replace(usual, end_percent=0.6),
    }
    return row(painter, "star", OPEN_PROMPT, ways)


def routing_over_time(painter: Painter) -> list[Cell]:
    """The outline of a star, and a prompt that says watermelon, with another routing in each part of the run."""
    both, cond_only = cn.HintRouting.both(), cn.HintRouting.cond_only()
    stages = {
        "0:both": [(0, both)],
        "0:cond_only, 0.3:both": [(0, cond_only), (0.3, both)],
        "0:both, 0.3:cond_only": [(0, both), (0.3, cond_only)],
        "0:both, 0.3:none": [(0, both), (0.3, cn.HintRouting.none())],
    }
    usual = painter.unit(draw_hint("star")[0])
    ways = {
        text: replace(usual, routing=cn.HintRouting.over_time(given))
        for text, given in stages.items()
    }
    return row(painter, "star", WATERMELON, ways)


def tiles(painter: Painter) -> list[Cell]:
    """A picture that is enlarged twice, tile by tile: with the whole hint in each tile, and with its part."""
    prompt, (small_hint, _) = "a panda on a green background", draw_hint("panda")
    hint, _ = draw_hint("panda", side=2 * SIDE)
    small = painter.paint(prompt, [painter.unit(small_hint)])
    large = F.interpolate(small.clamp(0, 1), scale_factor=2, mode="bicubic").clamp(0, 1)
    whole = [small_hint for _ in TILES]
    parts = [hint[..., y : y + SIDE, x : x + SIDE] for y, x in TILES]
    return [
        Cell("hint", "for the whole picture", to_image(hint[0])),
        Cell("before", "to be enlarged", to_image(small[0])),
        Cell(
            "control on the MODEL",
            "each tile gets the whole hint",
            repaint_tiles(painter, large, prompt, whole),
        ),
        Cell(
            "control on the prompts",
            "each tile gets its part",
            repaint_tiles(painter, large, prompt, parts),
        ),
    ]


def row(painter: Painter, kind: str, prompt: str, ways: dict[str, cn.ControlUnit]) -> list[Cell]:
    """Returns the hint of a kind, a picture for each way to control it, and one without control."""
    hint, inside = draw_hint(kind)
    found = [Cell("hint", f"“{prompt.partition(' on ')[0]} …”", to_image(hint[0]))]
    for title, unit in ways.items():
        found.append(measure(title, painter.paint(prompt, [unit]), inside))
    return [*found, measure("no control", painter.paint(prompt, []), inside)]


def measure(title: str, picture: Tensor, inside: Tensor) -> Cell:
    """Returns a picture with how closely it follows the hint, whose thing is `inside`."""
    follows = float(iou(thing_mask(picture), inside))
    return Cell(title, f"follows {follows:.2f}", to_image(picture[0]))


def repaint_tiles(
    painter: Painter, picture: Tensor, prompt: str, hints: Sequence[Tensor]
) -> Image.Image:
    """Returns a picture (1, 3, 2 SIDE, 2 SIDE) whose tiles are sampled one by one, each with a hint of its own."""
    found = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for (y, x), hint in zip(TILES, hints, strict=True):
        tile = picture[..., y : y + SIDE, x : x + SIDE]
        found.paste(to_image(painter.repaint(tile, prompt, painter.unit(hint))[0]), (x, y))
    return found


def strip(cells: Sequence[Cell]) -> Image.Image:
    """Returns the cells side by side with their captions."""
    width = 2 * MARGIN + len(cells) * (CELL + GAP) - GAP
    sheet = Image.new("RGB", (width, 2 * MARGIN + CELL + CAPTION), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, cell in enumerate(cells):
        x = MARGIN + i * (CELL + GAP)
        sheet.paste(cell.picture.resize((CELL, CELL), Image.Resampling.BICUBIC), (x, MARGIN))
        under = MARGIN + CELL
        draw.text((x, under + 4), cell.title, fill=INK, font=ImageFont.load_default(16))
        draw.text((x, under + 24), cell.note, fill=FAINT, font=ImageFont.load_default(14))
    return sheet


PICTURES: dict[str, Callable[[Painter], list[Cell]]] = {
    each.__name__: each for each in (prompt_in_charge, follow_loosely, routing_over_time, tiles)
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Draws the pictures that open the users' pages.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PICTURES))
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    args = parser.parse_args(arguments)
    unknown = sorted(set(args.names) - set(PICTURES))
    if unknown:
        parser.error(f"no picture is called {', '.join(unknown)}; there are {', '.join(PICTURES)}")
    painter = Painter()
    with torch.no_grad():
        for name in args.names or PICTURES:
            strip(PICTURES[name](painter)).save(args.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
