"""Residuals reach the features they belong to, and mismatches raise."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
SHAPE = (2, 3, 4, 4)


def residuals(part: Part, side: int = 4) -> Any:
    """Three skips and a middle, told apart by their values."""
    full = [torch.full((2, 3, side, side), value) for value in (1.0, 2.0, 3.0, 10.0)]
    return part("cnet_core").Residuals.of(full)


def call(options: dict, index: int) -> tuple[float, float]:
    """Returns what the patches of output block `index` add to (h, skip)."""
    h, skip = torch.zeros(SHAPE), torch.zeros(SHAPE)
    for patch in options["patches"]["output_block_patch"]:
        h, skip = patch(h, skip, {**options, "block": ("output", index)})
    return h.mean().item(), skip.mean().item()


def test_skips_are_taken_deepest_first_and_the_middle_once(part: Part) -> None:
    options = part("nodes.bridge.inject").with_residuals({}, residuals(part), lambda: None)
    assert [call(options, index) for index in range(3)] == [(10, 3), (0, 2), (0, 1)]


def test_other_patches_stay_and_run_behind(part: Part) -> None:
    def double(h: torch.Tensor, skip: torch.Tensor, options: dict) -> tuple:
        return h, 2 * skip

    given = {"patches": {"output_block_patch": [double]}, "sigmas": 1}
    options = part("nodes.bridge.inject").with_residuals(given, residuals(part), lambda: None)
    assert call(options, 2) == (0, 2)
    assert given["patches"]["output_block_patch"] == [double]


def test_another_size_raises(part: Part) -> None:
    options = part("nodes.bridge.inject").with_residuals({}, residuals(part, 2), lambda: None)
    with pytest.raises(ValueError, match="skip connection 1"):
        call(options, 1)


def test_residuals_are_resized_for_nodes_that_shrink_on_purpose(part: Part) -> None:
    class PatchModelAddDownscale:
        @staticmethod
        def execute() -> Any:
            return lambda h, options: h

    PatchModelAddDownscale.execute.__qualname__ = "PatchModelAddDownscale.execute"
    patch = PatchModelAddDownscale.execute()
    patch.__qualname__ = "PatchModelAddDownscale.execute.<locals>.input_block_patch"
    noted: list[bool] = []
    given = {"patches": {"input_block_patch_after_skip": [patch]}}
    inject = part("nodes.bridge.inject")
    options = inject.with_residuals(given, residuals(part, 8), lambda: noted.append(True))
    assert call(options, 1) == (0, 2)
    assert noted
