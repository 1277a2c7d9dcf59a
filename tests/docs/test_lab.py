"""The lab: bars, outlines of other origin, conflicting words, and the list of what depends on the embedded model."""

import re
from pathlib import Path

import other_outlines
import pytest
import torch
import torch.nn.functional as F
from assessment import name_other_kinds
from bars import table
from refresh import STEPS, words_of
from strokes import STROKES

from cnet_core.tiny.scenes import NATURAL, clear_grounds, random_scene
from cnet_core.tiny.things import KINDS, THINGS

ROOT = Path(__file__).parents[2]
GIVEN = {"classifier": "", "comfyui": "folder", "python": "python", "chromium": "chromium"}


def test_each_outline_goes_around_its_own_mask() -> None:
    """Of its border more lies near the lines than of any other mask's."""
    found = other_outlines.load()
    solid = found.masks[:, None].float()
    border = (solid + F.max_pool2d(1 - solid, 3, 1, 1) > 1).flatten(1).float()
    near = (F.max_pool2d(found.hints[:, :1], 5, 1, 2) > 0.5).flatten(1).float()
    shares = near @ border.T / border.sum(1)
    assert len(found.names) == len(set(found.names)) == 24
    assert shares.argmax(1).tolist() == list(range(24))
    assert float(shares.diagonal().min()) > 0.8


def test_the_sheet_is_what_the_strokes_draw() -> None:
    found = other_outlines.load()
    for seed, strokes in enumerate(STROKES.values()):
        hint, mask = other_outlines.draw_by_hand(strokes, seed)
        for drawn, kept in ((hint, found.hints[seed, 0]), (mask, found.masks[seed].float())):
            pixels = torch.frombuffer(bytearray(drawn.tobytes()), dtype=torch.uint8) / 255
            assert float((pixels.reshape(128, 128) - kept).abs().mean()) < 0.01


def test_a_conflicting_word_names_another_thing_that_colour_and_ground_suit() -> None:
    scene = random_scene(200, torch.Generator().manual_seed(3))
    other = name_other_kinds(scene)
    clear = clear_grounds()
    assert float((other.kind == scene.kind).float().mean()) < 0.01
    assert bool(clear[other.kind, scene.colour, scene.ground].all())
    own_colours = other.kind[scene.colour == NATURAL]
    assert all(KINDS[kind] in THINGS for kind in own_colours.tolist())


def test_bars_say_what_is_reached_and_by_how_much_not() -> None:
    report = {
        "true": {"adherence": 0.98},
        "autoencoder, same scenes": {"adherence": 0.9},
        "prompt, both": {"adherence": 0.72},
        "empty prompt, no_control": {"clipped": 0.01},
        "empty prompt, cond_only_soft": {"clipped": 0.1, "adherence": 0.81},
    }
    rows = table(report).splitlines()[2:]
    assert "| words: thing | ≥ 0.850 | not measured | |" in rows
    assert [row for row in rows if "not measured" not in row] == [
        "| true: adherence | ≥ 0.970 | 0.980 | yes |",
        "| prompt, both: adherence / autoencoder, same scenes: adherence | ≥ 0.920 | 0.800 | short by 0.120 |",
        "| empty prompt, cond_only_soft: clipped | ≤ 0.080 | 0.100 | short by 0.020 |",
        "| empty prompt, cond_only_soft: adherence / autoencoder, same scenes: adherence | ≥ 0.800 | 0.900 | yes |",
    ]


@pytest.mark.parametrize("name", STEPS)
def test_each_step_of_a_refresh_has_its_command_and_its_pages(name: str) -> None:
    words = words_of(STEPS[name], GIVEN, quick=False)
    assert words[0] == "python"
    assert words[1] == "-m" or (ROOT / words[1]).is_file()
    assert STEPS[name].pages
    assert all((ROOT / page).is_file() for page in STEPS[name].pages)


def test_each_picture_that_a_program_draws_with_the_model_is_refreshed() -> None:
    without = {"voxels", "plot_convergence", "other_outlines", "pack_things"}  # no embedded model
    without.add("refresh")  # the next test is about it
    page = (ROOT / "docs" / "dev" / "pictures.md").read_text(encoding="utf-8")
    programs = {Path(p) for p in re.findall(r"\| `python (docs/\S+)[^`]*` \|", page)}
    needed = {str(p) for p in programs if p.stem not in without}
    refreshed = {words_of(step, GIVEN, quick=False)[1] for step in STEPS.values()}
    assert len(needed) >= 6
    assert needed <= refreshed


def test_each_picture_that_a_refresh_copies_is_its_own_command() -> None:
    page = (ROOT / "docs" / "dev" / "pictures.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\S+) \| `python \S+refresh\.py --only (\w+)", page, re.MULTILINE)
    assert rows
    for picture, name in rows:
        assert picture in STEPS[name].copies.values()


@pytest.mark.parametrize("name", STEPS)
def test_a_quick_refresh_leaves_the_other_numbers_alone(name: str) -> None:
    build = str(ROOT / "build" / "refresh")
    words = [word for word in words_of(STEPS[name], GIVEN, quick=True) if str(ROOT) in word]
    assert all(word.startswith(f"{build}/quick") for word in words)
