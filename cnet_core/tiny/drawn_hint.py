"""Hints from one word: the outline of a shape, or the edges of a thing."""

import math

import torch
from torch import Tensor

from .model import SIDE
from .scenes import NATURAL, ThingScene, clear_grounds, draw
from .shapes import SHAPES, PlacedShapes, distance_field, outline
from .sketches import draw_edges
from .things import KINDS

WIDTH = 2.0  # pixels, of a shape's outline
LEAST_SIDE = 32


def draw_hint(
    kind: str,
    radius: float = 0.42,
    centre: tuple[float, float] = (0.5, 0.5),
    angle: float = 0.0,
    side: int = SIDE,
) -> tuple[Tensor, Tensor]:
    """Returns a hint, (1, 3, side, side), 0..1, and where its thing is, (1, side, side), bool.

    The first hint of a thing takes longer, since it builds a table of the clear grounds of all kinds.

    Args:
        kind: one of KINDS; a shape has a corner on top.
        radius: of a shape's circumcircle, or half the side of a thing's square, of the picture's side; above 0.
        centre: x and y, 0..1.
        angle: clockwise, in degrees.
        side: in pixels, at least 32.

    Raises:
        ValueError: another word, a radius that is not a finite number above 0, or a smaller side.
    """
    if kind not in KINDS:
        raise ValueError(f"`kind` is {kind!r}; draw one of {', '.join(KINDS)}.")
    if not 0 < radius < math.inf:
        raise ValueError(f"`radius` is {radius}; give a finite number above 0, such as 0.42.")
    if side < LEAST_SIDE:
        raise ValueError(f"`side` is {side}; a hint needs at least {LEAST_SIDE} pixels.")
    if kind in SHAPES:
        return _outline_shape(kind, radius, centre, angle, side)
    return _outline_thing(kind, radius, centre, angle, side)


def _outline_shape(
    kind: str, radius: float, centre: tuple[float, float], angle: float, side: int
) -> tuple[Tensor, Tensor]:
    turn = torch.tensor([math.radians(angle) - torch.pi / 2])
    placed = PlacedShapes([kind], torch.tensor([radius]), torch.tensor([centre]), turn)
    field = distance_field(placed, side)
    return outline(field, WIDTH).clone(), field < 0


def _outline_thing(
    kind: str, radius: float, centre: tuple[float, float], angle: float, side: int
) -> tuple[Tensor, Tensor]:
    number = KINDS.index(kind)
    scene = ThingScene(
        kind=torch.tensor([number]),
        colour=torch.tensor([NATURAL]),
        ground=clear_grounds()[number, NATURAL].int().argmax()[None],
        size=torch.tensor([2 * radius]),
        centre=torch.tensor([centre]) * 2 - 1,
        angle=torch.tensor([math.radians(angle)]),
        flip=torch.ones(1),
    )
    picture, cover = draw(scene, side)
    return draw_edges(picture), cover > 0.5
