"""Procedural pictures for the tiny Stable Diffusion: one coloured shape on a background, its outline, its prompt."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

#: The 16 colours a prompt can name, RGB in 0..1. Inside 0.08..0.92, so that a correct picture never clips.
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.15, 0.15),
    "coral": (0.92, 0.48, 0.38),
    "orange": (0.92, 0.58, 0.12),
    "yellow": (0.92, 0.85, 0.25),
    "olive": (0.50, 0.50, 0.12),
    "green": (0.16, 0.62, 0.22),
    "teal": (0.08, 0.48, 0.50),
    "sky": (0.45, 0.75, 0.92),
    "blue": (0.15, 0.30, 0.85),
    "navy": (0.08, 0.12, 0.42),
    "purple": (0.48, 0.18, 0.65),
    "pink": (0.92, 0.62, 0.78),
    "brown": (0.42, 0.25, 0.14),
    "gray": (0.50, 0.50, 0.52),
    "black": (0.09, 0.09, 0.10),
    "white": (0.92, 0.92, 0.91),
}
#: Colours of one picture are at least this far apart (Euclidean, RGB), so that its shape can be measured.
MIN_COLOUR_DISTANCE = 0.45
MIN_RADIUS, MAX_RADIUS = 0.19, 0.38  # of the picture's side

#: (u, v), the picture's coordinates turned and scaled to circumradius 1 -> signed distance.
Shape = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Scene:
    """A batch of pictures before they are drawn; every field has one entry per picture."""

    kinds: list[str]
    colours: list[str]
    backgrounds: list[str]
    radius: Tensor  # (B,) of the picture's side
    centre: Tensor  # (B, 2) x, y in 0..1
    angle: Tensor  # (B,) radians

    def prompts(self) -> list[str]:
        """One full prompt per picture, such as `a coral circle on a navy background`."""
        return [
            f"{_article(c)} {c} {k} on {_article(b)} {b} background"
            for k, c, b in zip(self.kinds, self.colours, self.backgrounds, strict=True)
        ]


def random_scene(count: int, generator: torch.Generator) -> Scene:
    """Returns `count` scenes: kind, colours, size, place and rotation drawn independently."""
    names, kinds = list(COLOURS), list(SHAPES)
    pairs = [(a, b) for a in names for b in names if _distance(a, b) >= MIN_COLOUR_DISTANCE]
    pair = [pairs[i] for i in _draw(len(pairs), count, generator)]
    radius = torch.rand(count, generator=generator) * (MAX_RADIUS - MIN_RADIUS) + MIN_RADIUS
    room = (1 - 2 * radius)[:, None]  # the whole shape stays inside the picture
    return Scene(
        kinds=[kinds[i] for i in _draw(len(kinds), count, generator)],
        colours=[p[0] for p in pair],
        backgrounds=[p[1] for p in pair],
        radius=radius,
        centre=torch.rand(count, 2, generator=generator) * room + radius[:, None],
        angle=torch.rand(count, generator=generator) * 2 * math.pi,
    )


def distance_field(scene: Scene, size: int, shapes: Mapping[str, Shape] | None = None) -> Tensor:
    """Returns the signed distance to each shape's border in pixels, negative inside: (B, size, size).

    `shapes` replaces SHAPES, for shapes that training has not seen.
    """
    known = SHAPES if shapes is None else shapes
    grid = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    x = grid[None, None, :] - scene.centre[:, 0, None, None]
    y = grid[None, :, None] - scene.centre[:, 1, None, None]
    cos, sin = torch.cos(scene.angle)[:, None, None], torch.sin(scene.angle)[:, None, None]
    radius = scene.radius[:, None, None]
    u, v = (cos * x + sin * y) / radius, (cos * y - sin * x) / radius
    rows = [known[kind](u[i], v[i]) for i, kind in enumerate(scene.kinds)]
    return torch.stack(rows) * radius * size


def picture(scene: Scene, field: Tensor) -> Tensor:
    """Returns the antialiased pictures of a distance field: (B, 3, H, W), 0..1."""
    cover = (0.5 - field).clamp(0, 1)[:, None]
    return cover * _rgb(scene.colours) + (1 - cover) * _rgb(scene.backgrounds)


def outline(field: Tensor, width: float | Tensor = 1.5) -> Tensor:
    """Returns white outlines on black, `width` pixels (a number, or one each) wide: (B, 3, H, W), 0..1."""
    half = torch.as_tensor(width).reshape(-1, 1, 1) / 2
    return (half + 0.5 - field.abs()).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)


def regular_polygon(corners: int) -> Shape:
    """Returns the distance function of the regular polygon with circumradius 1."""
    inner = math.cos(math.pi / corners)

    def distance(u: Tensor, v: Tensor) -> Tensor:
        angles = [2 * math.pi * (k + 0.5) / corners for k in range(corners)]
        sides = [u * math.cos(a) + v * math.sin(a) for a in angles]
        return torch.stack(sides).amax(0) - inner

    return distance


def training_prompts(scene: Scene, empty: float, generator: torch.Generator) -> list[str]:
    """Returns one prompt per picture, a fraction `empty` of them empty.

    Of the others, one in five names only a part, and one in five uses `shape` for the shape's word.
    """
    chance = cast(list[list[float]], torch.rand(len(scene.kinds), 3, generator=generator).tolist())
    prompts: list[str] = []
    for prompt, kind, (drop, part, vague) in zip(scene.prompts(), scene.kinds, chance, strict=True):
        if vague < 0.2:
            prompt = prompt.replace(kind, "shape")
        shape, background = prompt.split(" on ")
        if part < 0.2:
            prompt = shape if part < 0.1 else background
        prompts.append("" if drop < empty else prompt)
    return prompts


def training_hints(field: Tensor, generator: torch.Generator) -> Tensor:
    """Returns outlines 1 to 3 pixels wide, every other one without antialiasing: (B, 3, H, W), 0..1."""
    hints = outline(field, 1 + 2 * torch.rand(len(field), generator=generator))
    hard = torch.rand(len(field), 1, 1, 1, generator=generator) < 0.5
    return torch.where(hard, (hints > 0.5).float(), hints)


def _circle(u: Tensor, v: Tensor) -> Tensor:
    return (u * u + v * v).sqrt() - 1


def _star(u: Tensor, v: Tensor) -> Tensor:
    """Five points at radius 1 and five inner corners at 0.45: folded to a tenth of the circle, then a line."""
    sector, inner = math.pi / 5, 0.45
    angle = torch.atan2(v, u)
    folded = (torch.remainder(angle + sector, 2 * sector) - sector).abs()
    length = (u * u + v * v).sqrt()
    px, py = length * torch.cos(folded), length * torch.sin(folded)
    ex, ey = inner * math.cos(sector) - 1, inner * math.sin(sector)
    return ((px - 1) * ey - py * ex) / math.hypot(ex, ey)


def _cross(u: Tensor, v: Tensor) -> Tensor:
    """Two crossed bars, each 0.66 wide, that end inside the circle of radius 1."""
    a, b = u.abs(), v.abs()
    return torch.minimum(torch.maximum(a - 0.94, b - 0.33), torch.maximum(a - 0.33, b - 0.94))


#: Word -> distance function of the shape with circumradius 1, of (u, v).
SHAPES: dict[str, Shape] = {
    "circle": _circle,
    "triangle": regular_polygon(3),
    "square": regular_polygon(4),
    "hexagon": regular_polygon(6),
    "star": _star,
    "cross": _cross,
}


def _draw(below: int, count: int, generator: torch.Generator) -> list[int]:
    return cast(list[int], torch.randint(below, (count,), generator=generator).tolist())


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _distance(a: str, b: str) -> float:
    return math.dist(COLOURS[a], COLOURS[b])


def _rgb(names: Sequence[str]) -> Tensor:
    return torch.tensor([COLOURS[n] for n in names])[:, :, None, None]
