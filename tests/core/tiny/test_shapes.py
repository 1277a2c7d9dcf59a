"""The shapes by formula: their areas and outlines can be counted."""

import math

import pytest
import torch

from cnet_core.tiny.measure import iou
from cnet_core.tiny.outlines import fill_outline
from cnet_core.tiny.shapes import SHAPES, PlacedShapes, distance_field, outline, place_shapes


def one(kind: str, radius: float = 0.3, angle: float = 0.0) -> PlacedShapes:
    centre = torch.tensor([[0.5, 0.5]])
    return PlacedShapes([kind], torch.tensor([radius]), centre, torch.tensor([angle]))


#: Area of each shape with circumradius 1 (the cross: two bars 1.88 x 0.66, their square counted once).
AREAS = {
    "circle": math.pi,
    "triangle": 3 * math.sqrt(3) / 4,
    "square": 2.0,
    "hexagon": 3 * math.sqrt(3) / 2,
    "star": 5 * 0.45 * math.sin(math.pi / 5),
    "cross": 2 * 1.88 * 0.66 - 0.66**2,
}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_shapes_cover_their_area(kind: str, angle: float) -> None:
    side, radius = 256, 0.4
    inside = (distance_field(one(kind, radius, angle), side) < 0).sum()
    assert float(inside) / (radius * side) ** 2 == pytest.approx(AREAS[kind], rel=0.01)


def test_the_outline_runs_along_the_border() -> None:
    field = distance_field(one("circle"), 128)
    line = outline(field, 2.0)[0, 0] > 0.5
    assert float(field[0][line].abs().max()) <= 1.0
    assert float(line.sum()) == pytest.approx(2 * 2 * math.pi * 0.3 * 128, rel=0.05)


def test_places_are_the_seeds_and_stay_inside() -> None:
    first, again = (place_shapes(200, torch.Generator().manual_seed(7)) for _ in range(2))
    assert first.kinds == again.kinds
    assert set(first.kinds) == set(SHAPES)
    assert torch.equal(first.centre, again.centre)
    assert float((first.centre - first.radius[:, None]).min()) >= 0
    assert float((first.centre + first.radius[:, None]).max()) <= 1


@pytest.mark.parametrize("width", [1.5, 2.0, 3.0])
def test_filled_outlines_are_the_shapes(width: float) -> None:
    field = distance_field(place_shapes(30, torch.Generator().manual_seed(2)), 128)
    assert float(iou(fill_outline(outline(field, width)), field < 0).min()) > 0.93
