"""The measures, on pictures whose answer is known."""

import pytest
import torch

from cnet_core.tiny.colours import COLOURS, NAMES
from cnet_core.tiny.measure import (
    ground_colours,
    iou,
    saturation,
    thing_colours,
    thing_mask,
)
from cnet_core.tiny.outlines import fill_outline


def test_iou_of_known_masks() -> None:
    a = torch.zeros(1, 4, 4, dtype=torch.bool)
    b = a.clone()
    a[0, :2], b[0, 1:3] = True, True
    assert float(iou(a, b)) == pytest.approx(1 / 3)
    assert float(iou(a & ~a, b & ~b)) == 0


def square_on_ground() -> tuple[torch.Tensor, torch.Tensor]:
    """A red square on navy, and where it is."""
    inside = torch.zeros(1, 64, 64, dtype=torch.bool)
    inside[0, 20:44, 10:30] = True
    red, navy = (torch.tensor(COLOURS[n])[None, :, None, None] for n in ("red", "navy"))
    return torch.where(inside[:, None], red, navy), inside


def test_the_mask_is_the_thing_and_its_colours_have_names() -> None:
    picture, inside = square_on_ground()
    assert torch.equal(thing_mask(picture), inside)
    assert NAMES[int(thing_colours(picture, inside))] == "red"
    assert NAMES[int(ground_colours(picture))] == "navy"


def test_a_hole_in_a_thing_shows_the_ground() -> None:
    picture, inside = square_on_ground()
    picture[:, :, 28:36, 16:24] = torch.tensor(COLOURS["navy"])[:, None, None]
    inside[:, 28:36, 16:24] = False
    assert torch.equal(thing_mask(picture), inside)


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
    picture, inside = square_on_ground()
    assert int(thing_colours(picture, inside & False)) == -1
