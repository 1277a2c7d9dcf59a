"""The procedural pictures: geometry that can be counted, colours that can be distinguished."""

import math

import pytest
import torch

from cnet_core.tiny.data import (
    COLOURS,
    SHAPES,
    Scene,
    distance_field,
    outline,
    picture,
    random_scene,
)


def one(kind: str, radius: float = 0.3, angle: float = 0.0) -> Scene:
    centre = torch.tensor([[0.5, 0.5]])
    return Scene([kind], ["red"], ["white"], torch.tensor([radius]), centre, torch.tensor([angle]))


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


def test_colours_are_the_prompts_and_nothing_clips() -> None:
    scene = one("circle")
    drawn = picture(scene, distance_field(scene, 64))[0]
    torch.testing.assert_close(drawn[:, 32, 32], torch.tensor(COLOURS["red"]))
    torch.testing.assert_close(drawn[:, 0, 0], torch.tensor(COLOURS["white"]))
    assert all(0.08 <= value <= 0.92 for rgb in COLOURS.values() for value in rgb)


def test_the_outline_runs_along_the_border() -> None:
    field = distance_field(one("circle"), 128)
    line = outline(field, 2.0)[0, 0] > 0.5
    assert float(field[0][line].abs().max()) <= 1.0
    assert float(line.sum()) == pytest.approx(2 * 2 * math.pi * 0.3 * 128, rel=0.05)


def test_scenes_are_the_seeds_and_stay_inside() -> None:
    first, again = (random_scene(200, torch.Generator().manual_seed(7)) for _ in range(2))
    assert first.prompts() == again.prompts()
    assert torch.equal(first.centre, again.centre)
    assert float((first.centre - first.radius[:, None]).min()) >= 0
    assert float((first.centre + first.radius[:, None]).max()) <= 1


def test_prompts_read_well() -> None:
    scene = Scene(["star"], ["orange"], ["olive"], torch.ones(1), torch.ones(1, 2), torch.ones(1))
    assert scene.prompts() == ["an orange star on an olive background"]
