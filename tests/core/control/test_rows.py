"""Batch layouts: which row is which."""

import pytest
import torch
from fake_hosts import FakeDiffusersUNet, KnownNet, known_call, known_unit

import cnet_core as cn
from cnet_core.control.rows import rows_of


def spelled(rows: tuple[cn.Row, ...]) -> str:
    return " ".join(f"{row.branch[0]}{row.picture}" for row in rows)


LAYOUTS = {
    "guidance": (("uncond", "cond"), 4, "u0 u1 c0 c1"),
    "no guidance": (("cond",), 2, "c0 c1"),
    "several conds": (("uncond", "cond", "cond"), 3, "u0 c0 c0"),
    "several conds, two pictures": (("uncond", "cond", "cond"), 6, "u0 u1 c0 c1 c0 c1"),
    "cond first": (("cond", "uncond"), 2, "c0 u0"),
    "one Row each": (
        (cn.Row("uncond", 0), cn.Row("cond", 0), cn.Row("uncond", 1), cn.Row("cond", 1)),
        4,
        "u0 c0 u1 c1",
    ),
}


@pytest.mark.parametrize(("layout", "batch", "want"), LAYOUTS.values(), ids=LAYOUTS)
def test_rows_of_a_batch(layout, batch: int, want: str) -> None:
    assert spelled(rows_of(layout, batch)) == want


@pytest.mark.parametrize(
    ("layout", "batch", "message"),
    [
        (("uncond", "cond"), 3, "3 rows, which cannot be divided into 2"),
        ((), 2, "cannot be divided into 0"),
        ((cn.Row("cond"),), 2, "has 1 Rows"),
    ],
)
def test_a_batch_that_does_not_divide_is_an_error(layout, batch: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows_of(layout, batch)


def test_branches_and_rows_cannot_be_mixed() -> None:
    with pytest.raises(TypeError, match="mixes"):
        rows_of(("uncond", cn.Row("cond")), 2)


def test_a_text_is_not_taken_for_its_letters() -> None:
    with pytest.raises(
        TypeError, match=r"the text 'cond'; give a sequence of branches: \('cond',\)"
    ):
        rows_of("cond", 4)


@pytest.mark.parametrize(
    ("values", "words"), [(("cond", -1), "count from 0"), (("neither",), "'cond' or 'uncond'")]
)
def test_a_row_that_cannot_be_is_refused(values, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cn.Row(*values)


def added(unet: FakeDiffusersUNet, rows: int) -> list[float]:
    """What each row gets at the shallowest skip."""
    return unet(*known_call(rows))[0].mean((1, 2, 3)).tolist()


@pytest.mark.parametrize(("layout", "batch", "want"), LAYOUTS.values(), ids=LAYOUTS)
def test_cond_only_reaches_the_cond_rows_of_any_layout(layout, batch: int, want: str) -> None:
    unet, unit = FakeDiffusersUNet(), known_unit(routing=cn.HintRouting.cond_only())
    with cn.patch_unet(unet, unit, rows=layout) as attachment:
        assert added(unet, batch) == [1.0 if row[0] == "c" else 0.0 for row in want.split()]
        assert attachment.counts.rows == want.count("c")


def test_masks_by_picture_follow_the_rows() -> None:
    masks = torch.stack([torch.full((8, 8), 0.25), torch.full((8, 8), 0.5)])
    unit = cn.ControlUnit(KnownNet(), torch.ones(1, 3, 64, 64), mask=masks)
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, unit) as attachment:
        assert added(unet, 4) == [0.25, 0.5, 0.25, 0.5]
        attachment.rows = LAYOUTS["one Row each"][0]
        assert added(unet, 4) == [0.25, 0.25, 0.5, 0.5]
