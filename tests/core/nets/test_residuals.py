"""Residuals: sums, scattering, and the checks before an injection."""

import pytest
import torch

from cnet_core.nets.residuals import Residuals, RowResiduals, add_residual


def ones(rows: int = 1, blocks: int = 3, width: int = 2) -> Residuals:
    return Residuals.of([torch.ones(rows, width, 4, 4)] * blocks)


def test_sum_keeps_what_only_one_side_has() -> None:
    left = Residuals.of([torch.ones(1, 2, 4, 4), None, None])
    right = Residuals.of([torch.ones(1, 2, 4, 4), torch.full((1, 2, 4, 4), 5.0), None])
    total = left + right
    assert float(total.skips[0].mean()) == 2
    assert float(total.skips[1].mean()) == 5
    assert total.middle is None


@pytest.mark.parametrize("rows", [(3, 1), (1, 2), (2,)])
def test_residuals_of_some_rows_leave_the_others_at_zero(rows: tuple[int, ...]) -> None:
    full = RowResiduals(ones(rows=len(rows)), rows, batch=4).expand()
    assert full.middle[:, 0, 0, 0].tolist() == [float(row in rows) for row in range(4)]


@pytest.mark.parametrize(
    ("left", "right", "rows", "sums"),
    [
        ((1, 2), (1, 2), (1, 2), [0, 2, 2, 0]),
        ((1, 2), (2, 3), (0, 1, 2, 3), [0, 1, 2, 1]),
        ((0, 1, 2, 3), (2,), (0, 1, 2, 3), [1, 1, 2, 1]),
    ],
    ids=["the same rows", "others", "all and one"],
)
def test_residuals_of_some_rows_add_up_by_row(left, right, rows, sums) -> None:
    a, b = (RowResiduals(ones(rows=len(of)), of, batch=4) for of in (left, right))
    total = a + b
    assert total.rows == rows
    assert total.expand().middle[:, 0, 0, 0].tolist() == sums


def test_different_families_cannot_be_added() -> None:
    with pytest.raises(ValueError, match="for 3 and for 4 blocks"):
        ones() + ones(blocks=4)
    with pytest.raises(ValueError, match="two ControlNets for block 0 cannot be added"):
        ones() + ones(width=4)


@pytest.mark.parametrize("first", [torch.bfloat16, torch.float32])
def test_a_sum_is_of_the_wider_dtype(first: torch.dtype) -> None:
    other = {torch.bfloat16: torch.float32, torch.float32: torch.bfloat16}[first]
    total = Residuals.of([torch.ones(1, dtype=first)]) + Residuals.of([torch.ones(1, dtype=other)])
    assert total.middle.dtype == torch.float32


def test_injection_takes_the_features_dtype() -> None:
    feature = torch.ones(1, 2, 4, 4, dtype=torch.bfloat16)
    assert add_residual(feature, torch.ones(1, 2, 4, 4), "x").dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(2, 2, 4, 4), (1, 3, 4, 4), (1, 2, 8, 4)])
def test_injection_of_another_shape_names_both_sides(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"skip 3 is .*float32 on cpu.* but .*1x2x4x4"):
        add_residual(torch.ones(1, 2, 4, 4), torch.ones(shape), "skip 3")


def test_features_of_another_size_alone_do_not_blame_the_family() -> None:
    with pytest.raises(ValueError, match="Only the sizes differ") as caught:
        add_residual(torch.ones(1, 2, 4, 4), torch.ones(1, 2, 8, 8), "skip 3")
    assert "family" not in str(caught.value)
