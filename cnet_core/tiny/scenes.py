"""Scenes of the embedded world: one glossy thing on a coloured ground; its picture, its place, its prompt."""

import functools
import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from .colours import NAMES, palette
from .things import CELL, DARKEST, KINDS, LIGHTEST, THINGS, Sheet, article, load_sheet

#: The index of "its own colours" among the colours of a thing.
NATURAL = len(NAMES)
#: At least this fraction of a thing's pixels is further than this from its ground (Euclidean, RGB).
CLEAR_SHARE, CLEAR_DISTANCE = 0.9, 0.33
#: And nearly all of them are further than this, so that the outline can be measured.
NEARLY_ALL, SOME_DISTANCE = 0.975, 0.22
#: How often a thing has its own colours; a shape is always painted.
NATURAL_SHARE = 0.45
SMALLEST, LARGEST = 0.56, 0.92  # the longer side of a thing, of the picture's
MOST_TURN = 0.35  # radians either way
MARGIN = 0.02  # of the picture's side, left free around a thing
SHADOW = 0.13
DIRECTIONS = 72  # in which the extent of a thing is known


@dataclass(frozen=True)
class ThingScene:
    """A batch of pictures before they are drawn; every field has one entry per picture, all on one device."""

    kind: Tensor  # (B,) index into KINDS
    colour: Tensor  # (B,) index into NAMES, or NATURAL
    ground: Tensor  # (B,) index into NAMES
    size: Tensor  # (B,) cell's side, of the picture's
    centre: Tensor  # (B, 2) x, y in -1..1
    angle: Tensor  # (B,) radians
    flip: Tensor  # (B,) 1 or -1

    @property
    def kinds(self) -> list[str]:
        """The thing's word."""
        return [KINDS[i] for i in _numbers(self.kind)]

    @property
    def colours(self) -> list[str | None]:
        """The colour's word, None for a thing in its own colours."""
        return [None if i == NATURAL else NAMES[i] for i in _numbers(self.colour)]

    @property
    def backgrounds(self) -> list[str]:
        """The ground's word."""
        return [NAMES[i] for i in _numbers(self.ground)]

    def prompts(self) -> list[str]:
        """One full prompt per picture, such as `a red fox on a navy background`, `an owl on a sky background`."""
        return [
            f"{article(c or k)} {f'{c} ' if c else ''}{k} on {article(g)} {g} background"
            for k, c, g in zip(self.kinds, self.colours, self.backgrounds, strict=True)
        ]


def _numbers(values: Tensor) -> list[int]:
    return cast(list[int], values.tolist())


def random_scene(count: int, generator: torch.Generator, pairs: Tensor | None = None) -> ThingScene:
    """Returns `count` scenes on the generator's device: kind, colours, size, place, turn.

    Args:
        count: how many.
        generator: of all that is drawn.
        pairs: (NATURAL + 1, 16) bool on that device, the colour pairs (thing, ground) to use; None for all.

    Raises:
        ValueError: `pairs` has no painted pair for some kind. Only a CPU checks it, since a GPU would have to
            wait; before a loop on a GPU, call `check_pairs` once.
    """
    device = generator.device
    rand = functools.partial(torch.rand, generator=generator, device=device)
    kind = torch.randint(len(KINDS), (count,), generator=generator, device=device)
    allowed = _grounds_on(device)
    if pairs is not None:
        if device.type == "cpu":
            check_pairs(pairs)
        allowed = allowed & pairs
    own = (rand(count) < NATURAL_SHARE) & (kind < len(THINGS)) & allowed[kind, NATURAL].any(-1)
    painted = allowed[kind, :NATURAL].flatten(1)  # (B, colours * grounds)
    chosen = _choose(painted, rand(painted.shape))
    natural = _choose(allowed[kind, NATURAL], rand(count, len(NAMES)))
    turn = (rand(count) * 2 - 1) * MOST_TURN
    flip = (rand(count) < 0.5).float() * 2 - 1
    size, low, high = _room(kind, turn, flip, rand(count))
    return ThingScene(
        kind=kind,
        colour=torch.where(own, NATURAL, chosen // len(NAMES)),
        ground=torch.where(own, natural, chosen % len(NAMES)),
        size=size,
        centre=low + (high - low) * rand(count, 2),
        angle=turn,
        flip=flip,
    )


def draw(scene: ThingScene, side: int) -> tuple[Tensor, Tensor]:
    """Returns the pictures (B, 3, side, side), 0..1, and how far each pixel is the thing's (B, side, side), 0..1."""
    device = scene.kind.device
    sheet = _sheet_on(device, side > 72)
    layers = sheet[scene.kind]  # rgb, alpha, tone, paint; premultiplied
    grid = F.affine_grid(
        _placement(scene), [len(layers), 6, 2 * side, 2 * side], align_corners=False
    )
    layers = F.grid_sample(layers, grid, padding_mode="zeros", align_corners=False)
    layers = F.avg_pool2d(layers, 2)
    alpha = layers[:, 3:4].clamp(0, 1)
    thing = _paint_things(layers, scene.colour)
    return (thing + _ground(scene, alpha) * (1 - alpha)).clamp(0, 1), alpha[:, 0]


def held_out_pairs() -> Tensor:
    """Returns the colour pairs (thing, ground) held out of training, about one in ten: (NATURAL + 1, 16) bool.

    The training of a UNet or a ControlNet never draws them; that of the autoencoder or the classifier may.
    """
    thing, ground = torch.meshgrid(torch.arange(NATURAL + 1), torch.arange(NATURAL), indexing="ij")
    return ((7 * thing + 3 * ground) % 10 == 4) & (thing < NATURAL)


def check_pairs(pairs: Tensor) -> None:
    """Raises ValueError if `pairs`, as for `random_scene`, has no painted pair for some kind; waits for a GPU."""
    painted = (_grounds_on(pairs.device) & pairs)[:, :NATURAL].flatten(1).any(1)
    if missing := [KINDS[i] for i in _numbers((~painted).nonzero()[:, 0])]:
        raise ValueError(
            f"`pairs` leaves {len(missing)} of {len(KINDS)} kinds without a painted pair: {', '.join(missing)}. "
            "Allow each of them a colour and a ground that differ clearly; `clear_grounds` lists these."
        )


@functools.cache
def clear_grounds() -> Tensor:
    """Returns which grounds keep clear of which thing in which colour: (kinds, NATURAL + 1, 16) bool."""
    sheet = load_sheet()
    small = F.avg_pool2d(torch.cat([sheet.rgb, sheet.alpha, sheet.tone, sheet.paint], 1), 4)
    grounds = palette(small.device)
    found: list[Tensor] = []
    for layers in small:
        colours = torch.arange(NATURAL + 1)
        pictures = _paint_things(layers.expand(NATURAL + 1, -1, -1, -1), colours).flatten(2)
        solid = layers[3].flatten() > 0.95
        pixels = pictures[:, :, solid] / layers[3].flatten()[solid]  # (17, 3, pixels)
        distance = torch.cdist(pixels.transpose(1, 2), grounds.expand(NATURAL + 1, -1, -1))
        clear = (distance > CLEAR_DISTANCE).float().mean(1) >= CLEAR_SHARE
        found.append(clear & ((distance > SOME_DISTANCE).float().mean(1) >= NEARLY_ALL))
    return torch.stack(found)


@functools.cache
def _extents() -> Tensor:
    """Returns how far each thing reaches from its cell's centre in DIRECTIONS directions: (kinds, DIRECTIONS), 0..1."""
    at = (torch.arange(CELL) + 0.5) / CELL * 2 - 1
    around = 2 * math.pi * torch.arange(DIRECTIONS) / DIRECTIONS
    along = torch.stack([around.cos(), around.sin()])
    y, x = torch.meshgrid(at, at, indexing="ij")
    points = torch.stack([x, y], -1)
    return torch.stack([(points[a[0] > 0.05] @ along).amax(0) for a in load_sheet().alpha])


@functools.cache
def _grounds_on(device: torch.device) -> Tensor:
    return clear_grounds().to(device)


@functools.cache
def _extents_on(device: torch.device) -> Tensor:
    return _extents().to(device)


def _room(kind: Tensor, turn: Tensor, flip: Tensor, draw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the cells' sizes, and the least and greatest centres (B, 2) that keep the things in the frame."""
    extents = _extents_on(kind.device)[kind]
    reach: list[Tensor] = []
    for quarter in range(4):  # right, down, left, up
        across = torch.pi / 2 * quarter - turn  # the direction inside the turned thing
        across = torch.where(flip < 0, torch.pi - across, across)
        index = (across / (2 * torch.pi / DIRECTIONS)).round().long() % DIRECTIONS
        reach.append(extents.gather(1, index[:, None])[:, 0])
    right, down, left, up = reach
    longest = torch.maximum(right + left, down + up) / 2
    size = (SMALLEST + (LARGEST - SMALLEST) * draw) / longest
    low = torch.stack([size * left, size * up], 1) - 1 + 2 * MARGIN
    high = 1 - 2 * MARGIN - torch.stack([size * right, size * down], 1)
    middle = (low + high) / 2
    return size, torch.minimum(low, middle), torch.maximum(high, middle)


def _choose(allowed: Tensor, draw: Tensor) -> Tensor:
    """Returns one allowed column per row, with equal probability: (B,)."""
    return torch.where(allowed, draw, -1).argmax(1)


def _placement(scene: ThingScene) -> Tensor:
    """Returns the maps from places in the picture to places in the cell: (B, 2, 3)."""
    cos, sin = torch.cos(scene.angle), torch.sin(scene.angle)
    rows = [torch.stack([scene.flip * cos, scene.flip * sin], 1), torch.stack([-sin, cos], 1)]
    turn = torch.stack(rows, 1) / scene.size[:, None, None]
    return torch.cat([turn, -(turn @ scene.centre[:, :, None])], 2)


def _paint_things(layers: Tensor, colour: Tensor) -> Tensor:
    """Returns the things in their colours, premultiplied: (B, 3, H, W)."""
    rgb, alpha, tone, paint = layers[:, :3], layers[:, 3:4], layers[:, 4:5], layers[:, 5:6]
    colours = F.pad(palette(rgb.device), (0, 0, 0, 1), value=0.5)  # gray for NATURAL: not used
    wanted = colours[colour][:, :, None, None]
    tone = (tone / alpha.clamp(min=1e-3)).clamp(0, 1)
    dark = wanted * (0.40 + 1.2 * tone)
    light = wanted + (LIGHTEST - wanted) * (2 * tone - 1).clamp(min=0) ** 1.4 * 0.85
    ramp = torch.where(tone < 0.5, dark, light).clamp(min=DARKEST)
    paint = torch.where((colour == NATURAL)[:, None, None, None], 0.0, paint)
    share = (paint / alpha.clamp(min=1e-3)).clamp(0, 1)
    return rgb * (1 - share) + ramp * alpha * share


def _ground(scene: ThingScene, alpha: Tensor) -> Tensor:
    """Returns the grounds, lighter above, with the things' soft shadows: (B, 3, H, W)."""
    side = alpha.shape[-1]
    fall = torch.linspace(1.03, 0.93, side, device=alpha.device)[:, None]
    ground = palette(alpha.device)[scene.ground][:, :, None, None] * fall
    small = F.avg_pool2d(alpha, max(side // 16, 1))
    small = F.avg_pool2d(small, 3, stride=1, padding=1)
    shadow = F.interpolate(small, size=(side, side), mode="bilinear")
    return ground * (1 - SHADOW * _move_down(shadow, side // 20))


def _move_down(field: Tensor, pixels: int) -> Tensor:
    return F.pad(field, (0, 0, pixels, 0))[..., : field.shape[-2], :]


@functools.cache
def _sheet_on(device: torch.device, fine: bool) -> Tensor:
    """Returns all layers of the sheet (kinds, 6, CELL, CELL) on a device, or half as fine for small pictures."""
    sheet: Sheet = load_sheet()
    layers = torch.cat([sheet.rgb, sheet.alpha, sheet.tone, sheet.paint], 1)
    return (layers if fine else F.avg_pool2d(layers, 2)).to(device)
