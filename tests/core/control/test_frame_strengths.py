"""FrameStrengths: a text of picture:factor pairs is a constant mask for each picture."""

import pytest
import torch

from cnet_core import FrameStrengths


@pytest.mark.parametrize(
    ("picture", "factor"),
    [(0, 1.0), (1, 1.0), (2, 1.0), (4, 0.75), (6, 0.5), (7, 0.5), (99, 0.5)],
)
def test_factors_are_linear_between_points_and_constant_beyond(picture: int, factor: float) -> None:
    assert FrameStrengths.parse("2:1, 6:0.5").at(picture) == factor


@pytest.mark.parametrize("text", ["0:1,8:0.3", "0 : 1; 8:3e-1", "0:1\n8:.3", "  0:1 8:0.30 "])
def test_the_text_has_the_grammar_of_every_text_of_points(text: str) -> None:
    assert FrameStrengths.parse(text) == FrameStrengths(((0, 1), (8, 0.3)))


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_text_is_no_setting(text: str) -> None:
    assert FrameStrengths.parse(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1, 0.5", "`frame_strengths` is '1, 0.5'; write points as picture:factor, such as"),
        ("0:one", "write points as picture:factor"),
        ("8:1, 0:0.3", r"the pictures \[8.0, 0.0\]; they must be whole numbers from 0, and rise"),
        ("0:1, 0:0.5", "and rise"),
        ("0.5:1", "whole numbers"),
        ("-1:1", "whole numbers"),
        ("0:3", r"the factors \[3.0\]; they must lie in 0..2. For more control raise `strength`"),
        ("0:-1", "must lie in 0..2"),
    ],
)
def test_any_other_text_is_refused_with_what_to_write(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FrameStrengths.parse(text)


def test_masks_are_multiplied_by_their_pictures_factors() -> None:
    strengths = FrameStrengths.parse("0:1, 4:0")
    masks = torch.rand(2, 3, 5, generator=torch.Generator().manual_seed(0))
    found = strengths.weigh_masks(masks, [3, 1])
    assert torch.equal(found, torch.stack([masks[0] * 0.25, masks[1] * 0.75]))
    assert torch.equal(strengths.weigh_masks(masks[0], [3, 1])[0], masks[0] * 0.25)
    assert torch.equal(strengths.weigh_masks(None, [2, 4]), torch.tensor([[[0.5]], [[0.0]]]))


def test_rows_of_pictures_without_control_have_the_gain_0() -> None:
    strengths = FrameStrengths.parse("0:1, 2:0.5, 4:0")
    assert strengths.filter_gains((1.0, 0.25, -1.0, 2.0), [0, 2, 4, 9]) == (1.0, 0.25, 0.0, 0.0)
