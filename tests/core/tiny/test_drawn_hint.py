"""Hints from one word."""

import math

import pytest
import torch

from cnet_core.tiny.drawn_hint import draw_hint
from cnet_core.tiny.measure import iou
from cnet_core.tiny.outlines import find_area


@pytest.mark.parametrize("kind", ["star", "teapot", "owl"])
def test_the_lines_go_around_the_thing(kind: str) -> None:
    hint, inside = draw_hint(kind)
    area, known = find_area(hint)
    assert hint.shape == (1, 3, 128, 128)
    assert bool(known)
    assert float(iou(area, inside)) > 0.9


@pytest.mark.parametrize("kind", ["triangle", "tree"])
def test_a_quarter_turn_clockwise_brings_the_top_to_the_right(kind: str) -> None:
    (_, up), (_, turned) = (draw_hint(kind, 0.4, angle=angle) for angle in (0.0, 90.0))
    assert float(iou(up.rot90(-1, (1, 2)), turned)) > 0.95


def test_an_unknown_word_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"`kind` is 'dog'; draw one of fox, cat, .*, cross\."):
        draw_hint("dog")


def test_the_centre_is_where_it_is_asked_for() -> None:
    (_, left), (_, right) = (draw_hint("moon", 0.2, (x, 0.5)) for x in (0.25, 0.75))
    assert torch.equal(left.roll(64, 2), right)


@pytest.mark.parametrize("kind", ["star", "fox"])
@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_a_radius_that_is_not_above_0_is_refused(kind: str, radius: float) -> None:
    with pytest.raises(ValueError, match=rf"`radius` is {radius}; .* above 0, such as 0\.42\."):
        draw_hint(kind, radius)


@pytest.mark.parametrize("kind", ["star", "fox"])
def test_a_side_below_32_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="`side` is 31; a hint needs at least 32 pixels"):
        draw_hint(kind, side=31)
    assert draw_hint(kind, side=32)[0].any()
