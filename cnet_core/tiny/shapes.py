"""The six shapes by formula: where they lie, and their outlines, which are hints for the embedded model."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

MIN_RADIUS, MAX_RADIUS = 0.19, 0.38  # of the picture's side

#: (u, v), the picture's coordinates turned and scaled to circumradius 1 -> signed distance.
Shape = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class PlacedShapes:
    """One shape per picture, and where it lies."""

    kinds: list[str]
    radius: Tensor  # (B,) of the picture's side
    centre: Tensor  # (B, 2) x, y in 0..1
    angle: Tensor  # (B,) radians


def place_shapes(count: int, generator: torch.Generator) -> PlacedShapes:
    """Returns `count` shapes, each inside its picture: kind, size, place and rotation drawn independently."""
    kinds = list(SHAPES)
    drawn = cast(list[int], torch.randint(len(kinds), (count,), generator=generator).tolist())
    radius = torch.rand(count, generator=generator) * (MAX_RADIUS - MIN_RADIUS) + MIN_RADIUS
    room = (1 - 2 * radius)[:, None]
    return PlacedShapes(
        kinds=[kinds[i] for i in drawn],
        radius=radius,
        centre=torch.rand(count, 2, generator=generator) * room + radius[:, None],
        angle=torch.rand(count, generator=generator) * 2 * math.pi,
    )


def distance_field(
    placed: PlacedShapes, size: int, shapes: Mapping[str, Shape] | None = None
) -> Tensor:
    """Returns the signed distance to each shape's border in pixels, negative inside: (B, size, size).

    `shapes` replaces SHAPES, for shapes that training has not seen.
    """
    known = SHAPES if shapes is None else shapes
    grid = (torch.arange(size, dtype=torch.float32) + 0.5) / size
    x = grid[None, None, :] - placed.centre[:, 0, None, None]
    y = grid[None, :, None] - placed.centre[:, 1, None, None]
    cos, sin = torch.cos(placed.angle)[:, None, None], torch.sin(placed.angle)[:, None, None]
    radius = placed.radius[:, None, None]
    u, v = (cos * x + sin * y) / radius, (cos * y - sin * x) / radius
    rows = [known[kind](u[i], v[i]) for i, kind in enumerate(placed.kinds)]
    return torch.stack(rows) * radius * size


def outline(field: Tensor, width: float | Tensor = 1.5) -> Tensor:
    """Returns white outlines on black, `width` pixels (a number, or one each) wide: (B, 3, H, W), 0..1."""
    half = torch.as_tensor(width, device=field.device).reshape(-1, 1, 1) / 2
    return (half + 0.5 - field.abs()).clamp(0, 1)[:, None].expand(-1, 3, -1, -1)


def regular_polygon(corners: int) -> Shape:
    """Returns the distance function of the regular polygon with circumradius 1."""
    inner = math.cos(math.pi / corners)

    def distance(u: Tensor, v: Tensor) -> Tensor:
        angles = [2 * math.pi * (k + 0.5) / corners for k in range(corners)]
        sides = [u * math.cos(a) + v * math.sin(a) for a in angles]
        return torch.stack(sides).amax(0) - inner

    return distance


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
