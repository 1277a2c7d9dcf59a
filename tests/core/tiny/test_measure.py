"""The measures, on pictures whose answer is known."""

import pytest
import torch

from cnet_core.tiny.data import SHAPES, distance_field, outline, picture, random_scene
from cnet_core.tiny.measure import fill_outline, iou, nearest_colour, saturation, shape_mask


def test_iou_of_known_masks() -> None:
    a = torch.zeros(1, 4, 4, dtype=torch.bool)
    b = a.clone()
    a[0, :2], b[0, 1:3] = True, True
    assert float(iou(a, b)) == pytest.approx(1 / 3)
    assert float(iou(a & ~a, b & ~b)) == 0


def test_true_pictures_show_their_shape_and_colours() -> None:
    scene = random_scene(40, torch.Generator().manual_seed(1))
    field = distance_field(scene, 128)
    pictures = picture(scene, field)
    mask = shape_mask(pictures)
    assert float(iou(mask, field < 0).min()) > 0.95
    assert nearest_colour(pictures, mask) == scene.colours
    assert nearest_colour(pictures, ~mask) == scene.backgrounds


@pytest.mark.parametrize("width", [1.5, 2.0, 3.0])
def test_filled_outlines_are_the_shapes(width: float) -> None:
    scene = random_scene(30, torch.Generator().manual_seed(2))
    assert set(scene.kinds) == set(SHAPES)
    field = distance_field(scene, 128)
    assert float(iou(fill_outline(outline(field, width)), field < 0).min()) > 0.93


def test_open_lines_and_blank_hints_enclose_nothing() -> None:
    hints = torch.zeros(2, 3, 16, 16)
    hints[0, :, 8, 2:14] = 1
    assert not fill_outline(hints).any()


def test_saturation_counts_values_outside() -> None:
    pictures = torch.full((1, 3, 2, 2), 0.5)
    pictures[0, 0, 0, 0], pictures[0, 1, 0, 0], pictures[0, 2, 0, 0] = -0.1, 1.1, 1.0
    assert float(saturation(pictures)) == pytest.approx(2 / 12)
    assert float(saturation(torch.full((1, 3, 2, 2), torch.nan))) == 1


def test_an_empty_mask_has_no_colour() -> None:
    assert nearest_colour(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.bool)) == [
        "nothing"
    ]
