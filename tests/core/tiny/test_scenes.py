"""The world's pictures: colours named right, grounds that keep clear, things inside the frame, prompts as tokens."""

import pytest
import torch

from cnet_core.tiny.colours import COLOURS
from cnet_core.tiny.measure import ground_colours, iou, thing_colours, thing_mask
from cnet_core.tiny.outlines import find_area
from cnet_core.tiny.prompts import read_tokens, training_tokens
from cnet_core.tiny.scenes import NATURAL, ThingScene, draw, held_out_pairs, random_scene
from cnet_core.tiny.sketches import canny, training_hints
from cnet_core.tiny.text import tokenize
from cnet_core.tiny.things import KINDS, article


def drawn(count: int = 48, side: int = 128) -> tuple[ThingScene, torch.Tensor, torch.Tensor]:
    scene = random_scene(count, torch.Generator().manual_seed(7))
    return scene, *draw(scene, side)


def test_ruler_finds_thing_and_colours_on_true_pictures() -> None:
    scene, pictures, cover = drawn()
    mask, painted = thing_mask(pictures), scene.colour != NATURAL
    assert iou(mask, cover > 0.5).mean() >= 0.97
    assert (thing_colours(pictures, mask) == scene.colour)[painted].float().mean() >= 0.98
    assert (ground_colours(pictures) == scene.ground).all()


def test_grounds_keep_clear_of_the_things() -> None:
    scene, pictures, cover = drawn()
    grounds = torch.tensor([COLOURS[name] for name in scene.backgrounds])[:, :, None, None]
    far = (pictures - grounds).square().sum(1).sqrt() >= 0.30
    inside = cover > 0.95
    shares = (far & inside).flatten(1).sum(1) / inside.flatten(1).sum(1)
    assert (shares >= 0.9).float().mean() >= 0.97


@pytest.mark.parametrize("side", [64, 128, 192])
def test_things_stay_inside_the_frame(side: int) -> None:
    _, pictures, cover = drawn(24, side)
    rim = [cover[:, 0], cover[:, -1], cover[:, :, 0], cover[:, :, -1]]
    assert torch.cat(rim, 1).max() < 0.06  # a soft edge may touch the frame
    assert pictures.min() >= 0.03
    assert pictures.max() <= 0.97


@pytest.mark.parametrize("side", [8, 16, 40])
def test_small_pictures_are_drawn_too(side: int) -> None:
    scene, pictures, cover = drawn(4, side)
    assert pictures.shape == (4, 3, side, side)
    assert (ground_colours(pictures) == scene.ground).float().mean() >= 0.5
    assert cover.flatten(1).amax(1).min() > 0.9


def test_training_tokens_are_those_of_whole_or_partial_prompts() -> None:
    scene = random_scene(500, torch.Generator().manual_seed(8))
    tokens = training_tokens(scene, 0.1, torch.Generator().manual_seed(9))
    prompts = read_tokens(tokens)
    assert tokens.tolist() == [tokenize(prompt) for prompt in prompts]
    named = [
        (prompt, full)
        for prompt, full in zip(prompts, scene.prompts(), strict=True)
        if "shape" not in prompt
    ]
    assert all(prompt in {"", full, *full.split(" on ")} for prompt, full in named)
    assert sum(prompt == full for prompt, full in named) > 250  # 0.9 * 0.85 * 0.8 of 500 are 306


def test_articles() -> None:
    assert [article(w) for w in ("owl", "umbrella", "orange", "fox", "house")] == [
        "an",
        "an",
        "an",
        "a",
        "a",
    ]


def test_training_prompts_are_empty_as_often_as_asked() -> None:
    scene = random_scene(2000, torch.Generator().manual_seed(1))
    tokens = training_tokens(scene, 0.5, torch.Generator().manual_seed(2))
    assert (tokens == 0).all(1).float().mean() == pytest.approx(0.5, abs=0.05)


def test_held_out_pairs_never_come() -> None:
    scene = random_scene(2000, torch.Generator().manual_seed(3), ~held_out_pairs())
    assert not held_out_pairs()[scene.colour, scene.ground].any()
    assert 0.08 <= held_out_pairs()[:NATURAL].float().mean() <= 0.12


def test_every_kind_and_colour_comes() -> None:
    scene = random_scene(3000, torch.Generator().manual_seed(4))
    assert set(scene.kind.tolist()) == set(range(len(KINDS)))
    assert set(scene.colour.tolist()) == set(range(NATURAL + 1))
    assert set(scene.ground.tolist()) == set(range(NATURAL))


def test_hints_are_lines_and_most_enclose_the_thing() -> None:
    _, pictures, cover = drawn(16)
    hints = training_hints(pictures, cover, torch.Generator().manual_seed(5))
    assert hints.min() >= 0
    assert hints.max() <= 1
    assert 0.01 < (hints > 0.5).float().mean() < 0.2
    area, known = find_area(hints)
    assert known.float().mean() >= 0.75
    assert iou(area, cover > 0.5)[known].mean() >= 0.85


def test_canny_finds_a_thin_closed_square() -> None:
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 16:48, 16:48] = 1
    lines = canny(picture, 0.1, 0.2)
    assert 110 <= int(lines.sum()) <= 130  # four sides of 32 pixels
    area, known = find_area(lines)
    assert known.all()
    assert int(area.sum()) == pytest.approx(32 * 32, rel=0.08)


def test_a_gap_is_closed() -> None:
    hint = torch.zeros(1, 3, 64, 64)
    hint[..., 10:50, [10, 49]] = 1
    hint[..., [10, 49], 10:50] = 1
    hint[..., 10, 25:33] = 0  # a gap of 8 pixels
    area, known = find_area(hint)
    assert known.all()
    assert int(area.sum()) == pytest.approx(39 * 39, rel=0.1)


def test_a_bow_encloses_nothing() -> None:
    hint = torch.zeros(1, 3, 64, 64)
    hint[..., 10, 10:50] = 1
    hint[..., 10:50, 10] = 1
    assert not find_area(hint)[1].any()
