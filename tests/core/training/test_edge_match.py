"""Edges found again in pictures: which hints are edges, and how well pictures match them."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cnet_core.control.edges import find_edges
from cnet_core.tiny.shapes import distance_field, outline, place_shapes
from cnet_core.tiny.sheet import to_image
from cnet_core.training.data import find_usable
from cnet_core.training.edge_match import are_edges, edge_match
from cnet_core.training.order import Visit
from cnet_core.training.pictures import Cache, PictureSamples

SIDE = 128


def disc(x: float, y: float, radius: float = 0.3, side: int = SIDE) -> Tensor:
    """A bright disc on a dark ground: (1, 3, side, side)."""
    at = torch.linspace(0, 1, side)
    inside = (at[None, :] - x) ** 2 + (at[:, None] - y) ** 2 < radius**2
    return (0.2 + 0.6 * inside.float()).expand(1, 3, -1, -1)


def stick_figure() -> Tensor:
    """Coloured lines on black, as poses are."""
    found = torch.zeros(1, 3, SIDE, SIDE)
    found[:, 0, :, 20:24] = found[:, 2, 40:44, :] = 1
    return found


def soft_edges() -> Tensor:
    """Gray lines, as HED draws them: few pixels are black or white."""
    return torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)).expand(
        -1, 3, -1, -1
    )


@pytest.mark.parametrize(
    ("hints", "expected"),
    [
        (find_edges(disc(0.5, 0.5)), True),
        (outline(distance_field(place_shapes(2, torch.Generator().manual_seed(0)), SIDE)), True),
        ((disc(0.5, 0.5) > 0.5).float(), False),
        (disc(0.5, 0.5), False),
        (stick_figure(), False),
        (soft_edges(), False),
        (torch.zeros(1, 3, SIDE, SIDE), False),
    ],
    ids=["canny", "outlines", "a mask", "a depth map", "a pose", "soft edges", "nothing"],
)
def test_thin_white_lines_on_black_are_edges(hints: Tensor, expected: bool) -> None:
    assert are_edges([hints]) is expected


def test_black_hints_among_edges_do_not_count() -> None:
    black = torch.zeros(1, 3, SIDE, SIDE)
    assert are_edges([black, find_edges(disc(0.5, 0.5))])
    assert not are_edges([(disc(0.5, 0.5) > 0.5).float(), find_edges(disc(0.5, 0.5))])


class Encoder:
    """Latents do not matter here."""

    name = "none"

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        latents = torch.zeros(1, 4, SIDE // 8, SIDE // 8)
        return latents, latents


@pytest.mark.parametrize("side", [SIDE // 2, 2 * SIDE, 4 * SIDE])
def test_canny_hints_of_another_size_than_the_training_s_are_edges(
    tmp_path: Path, side: int
) -> None:
    """Pillow makes their lines gray when it resizes them."""
    to_image(disc(0.5, 0.5)[0]).save(tmp_path / "picture.png")
    to_image(find_edges(disc(0.5, 0.5, side=side))[0]).save(tmp_path / "hint.png")
    row = {"target": "picture.png", "source": "hint.png", "prompt": "a disc"}
    (tmp_path / "prompt.json").write_text(json.dumps(row))
    samples = PictureSamples(find_usable(tmp_path, SIDE), Encoder(), Cache(tmp_path / "cache"))
    assert are_edges([samples.read_stored_hint(0)])
    resized = samples.batch([Visit(0, "a", 0)], [False]).hints
    assert resized.shape == (1, 3, SIDE, SIDE)
    assert edge_match(disc(0.5, 0.5), resized) > 0.9
    assert edge_match(disc(0.5, 0.5, 0.15), resized) < 0.1


def test_a_picture_matches_its_own_edges_and_those_of_a_pixel_beside() -> None:
    hint = find_edges(disc(0.5, 0.5))
    assert edge_match(disc(0.5, 0.5), hint) == 1
    assert edge_match(disc(0.5 + 1 / SIDE, 0.5), hint) > 0.95


def test_another_shape_an_empty_picture_and_noise_do_not_match() -> None:
    hint = find_edges(disc(0.5, 0.5))
    noise = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert edge_match(disc(0.5, 0.5, 0.15), hint) < 0.1
    assert edge_match(torch.zeros(1, 3, SIDE, SIDE), hint) == 0
    assert edge_match(noise, hint) < 0.5


def test_half_of_the_lines_count_half() -> None:
    """All that is drawn is wanted, and half of what is wanted is drawn: F1 is 2/3."""
    hint = find_edges(disc(0.25, 0.5, 0.15)) + find_edges(disc(0.75, 0.5, 0.15))
    assert edge_match(disc(0.25, 0.5, 0.15), hint) == pytest.approx(2 / 3, abs=0.02)
