"""A UNet call must have the pictures, rows and size of the `calc_cond_batch` around it."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]

WHOLE, HALF, ODD = (
    {"uuid": "w"},
    {"uuid": "h", "area": (8, 4, 0, 4)},
    {"uuid": "o", "area": (5, 99, 3, 1)},
)
SIDE = 8
#: A positive of two parts, and a negative.
CONDS = ([WHOLE, HALF, ODD], [WHOLE])


def frames(
    part: Part, shape: tuple[int, ...], pictures: int = 2, **options: Any
) -> tuple[int, ...]:
    """Returns the frames of a UNet call of this shape (rows, height, width)."""
    batch = part("nodes.comfyui.layout").CondBatch.of(CONDS, torch.zeros(pictures, 4, SIDE, SIDE))
    rows, height, width = shape
    given = {"cond_or_uncond": [1, 0], "uuids": ["w", "w"], **options}
    return batch.frames(torch.zeros(rows, 9, height, width), given)


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((4, 8, 8), {}),
        ((4, 8, 8), {"uuids": None}),
        ((2, 8, 4), {"cond_or_uncond": [0], "uuids": ["h"]}),
        ((2, 5, 7), {"cond_or_uncond": [0], "uuids": ["o"]}),
        ((2, 5, 7), {"cond_or_uncond": [0], "uuids": ["another pack's"]}),
        ((6, 8, 8), {"cond_or_uncond": [1, 0, 0], "uuids": ["w", "w", "w"]}),
        ((4, 8, 8), {"ad_params": {"sub_idxs": [0, 1]}}),
    ],
    ids=[
        "whole",
        "no uuids",
        "area",
        "odd area",
        "unknown uuid",
        "three chunks",
        "a window of all",
    ],
)
def test_calls_of_comfyuis_own_layout_pass(part: Part, shape: tuple, options: dict) -> None:
    assert frames(part, shape, **options) == (0, 1)


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((3, 8, 8), {}, "3 rows for 2 conditionings"),
        ((2, 8, 8), {"cond_or_uncond": [2, 3]}, "2 rows for 2 conditionings"),
        ((8, 8, 8), {}, "4 pictures per conditioning instead of 2"),
        ((8, 4, 4), {}, "4 pictures per conditioning instead of 2"),
        ((4, 4, 4), {}, "4 x 4, but the conditioning is for 8 x 8"),
        ((4, 8, 4), {}, "4 x 8, but the conditioning is for 8 x 8"),
        (
            (2, 4, 4),
            {"cond_or_uncond": [0], "uuids": ["h"]},
            "4 x 4, but the conditioning is for 4 x 8",
        ),
        (
            (4, 8, 8),
            {"ad_params": {"sub_idxs": [0, 1, 2]}},
            "2 pictures per conditioning instead of 3",
        ),
    ],
    ids=[
        "odd rows",
        "unknown conds",
        "pictures",
        "tiles in one batch",
        "tile",
        "tile of an area's size",
        "tile of an area",
        "window",
    ],
)
def test_any_other_layout_is_refused(part: Part, shape: tuple, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        frames(part, shape, **options)
    assert "on the conditionings" in str(caught.value)


@pytest.mark.parametrize(
    ("cond", "sigma", "expected"),
    [
        ({}, 5.0, True),
        ({"timestep_start": 4.0}, 5.0, False),
        ({"timestep_start": 5.0, "timestep_end": 5.0}, 5.0, True),
        ({"timestep_end": 6.0}, 5.0, False),
    ],
    ids=["always", "later", "now", "over"],
)
def test_conds_out_of_their_time_ask_for_no_unet_call(
    part: Part, cond: dict, sigma: float, expected: bool
) -> None:
    kind = part("nodes.comfyui.layout").CondBatch
    batch = kind.of([[cond], None], torch.zeros(1, 4, 8, 8))
    assert batch.has_work(torch.tensor(sigma)) == expected
