"""Hints: pictures to tensors, fit modes."""

import numpy as np
import pytest
import torch
from PIL import Image

import cnet_core as cn


def test_pictures_become_0_to_1() -> None:
    image = Image.fromarray(np.array([[[0, 128, 255]]], dtype=np.uint8))
    torch.testing.assert_close(cn.hint_from_image(image).flatten(), torch.tensor([0, 128 / 255, 1]))


def test_transparent_is_black_and_16_bits_are_kept() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 255, 255, 0))
    assert not cn.hint_from_image(clear).any()
    deep = Image.fromarray(np.array([[0, 257, 65535]], dtype=np.uint16))
    torch.testing.assert_close(cn.hint_from_image(deep)[0, 0, 0], torch.tensor([0, 257 / 65535, 1]))


def test_a_dark_16_bit_picture_stays_dark() -> None:
    deep = Image.fromarray(np.array([[0, 200]], dtype=np.uint16))
    assert float(cn.hint_from_image(deep).max()) == pytest.approx(200 / 65535)


def test_floats_may_leave_their_range_by_rounding_alone() -> None:
    near = Image.fromarray(np.array([[-1e-4, 1 + 1e-4]], dtype=np.float32))
    assert cn.hint_from_image(near)[0, 0, 0].tolist() == [0, 1]
    for value in (1.01, -0.01, 255.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="not 0 to 1; save it as 8 or 16 bits"):
            cn.hint_from_image(Image.fromarray(np.array([[0, value]], dtype=np.float32)))
    with pytest.raises(ValueError, match="not 0 to 65535"):
        cn.hint_from_image(Image.fromarray(np.array([[0, 70000]], dtype=np.int32)))


def marked(height: int, width: int) -> torch.Tensor:
    """Each pixel holds its own column, which shows where it moved."""
    return torch.arange(width, dtype=torch.float32).expand(1, 3, height, width).clone()


def test_crop_takes_the_middle() -> None:
    assert cn.fit_hint(marked(4, 8), 4, 4)[0, 0, 0].tolist() == [2, 3, 4, 5]


def test_stretch_takes_everything() -> None:
    assert cn.fit_hint(marked(4, 8), 4, 4, "stretch")[0, 0, 0].tolist() == [1, 3, 5, 7]


def test_pad_shows_everything_with_black_around() -> None:
    padded = cn.fit_hint(marked(4, 8) + 1, 8, 8, "pad")[0, 0]
    assert padded[:2].eq(0).all()
    assert padded[6:].eq(0).all()
    assert padded[2].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]


def test_inpaint_marks_survive_resizing() -> None:
    hint = torch.where(
        torch.rand(1, 3, 30, 50, generator=torch.Generator().manual_seed(0)) < 0.5, -1.0, 0.5
    )
    assert set(cn.fit_hint(hint, 64, 64).unique().tolist()) == {-1.0, 0.5}


def test_unknown_fit_and_empty_hints_are_refused() -> None:
    with pytest.raises(ValueError, match="crop, stretch, pad"):
        cn.fit_hint(marked(4, 4), 8, 8, "zoom")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no pixels"):
        cn.fit_hint(torch.zeros(1, 3, 0, 4), 8, 8)
