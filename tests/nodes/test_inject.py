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


def watch(part: Part) -> Any:
    """What the X-ray sees of a call."""
    return part("cnet_core.xray").Watch()


def call(options: dict, index: int) -> tuple[float, float]:
    """Returns what the patches of output block `index` add to (h, skip)."""
    h, skip = torch.zeros(SHAPE), torch.zeros(SHAPE)
    for patch in options["patches"]["output_block_patch"]:
        h, skip = patch(h, skip, {**options, "block": ("output", index)})
    return h.mean().item(), skip.mean().item()


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_skips_are_taken_deepest_first_and_the_middle_once(part: Part, mode: type) -> None:
    with mode():
        options = part("nodes.bridge.inject").with_residuals(
            {}, residuals(part), lambda: None, watch(part)
        )
        assert [call(options, index) for index in range(3)] == [(10, 3), (0, 2), (0, 1)]


@pytest.mark.parametrize("gradients", [True, False])
def test_without_gradients_the_skip_is_added_to_in_place(part: Part, gradients: bool) -> None:
    options = part("nodes.bridge.inject").with_residuals(
        {}, residuals(part), lambda: None, watch(part)
    )
    (patch,) = options["patches"]["output_block_patch"]
    skip = torch.zeros(SHAPE)
    with torch.set_grad_enabled(gradients):
        _, found = patch(torch.zeros(SHAPE), skip, {**options, "block": ("output", 2)})
    assert float(found.mean()) == 1
    assert (found is skip) != gradients


def test_other_patches_stay_and_run_behind(part: Part) -> None:
    def double(h: torch.Tensor, skip: torch.Tensor, options: dict) -> tuple:
        return h, 2 * skip

    given = {"patches": {"output_block_patch": [double]}, "sigmas": 1}
    options = part("nodes.bridge.inject").with_residuals(
        given, residuals(part), lambda: None, watch(part)
    )
    assert call(options, 2) == (0, 2)
    assert given["patches"]["output_block_patch"] == [double]


def test_another_size_raises(part: Part) -> None:
    options = part("nodes.bridge.inject").with_residuals(
        {}, residuals(part, 2), lambda: None, watch(part)
    )
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
    options = inject.with_residuals(
        given, residuals(part, 8), lambda: noted.append(True), watch(part)
    )
    assert call(options, 1) == (0, 2)
    assert noted


def test_the_xray_sees_features_before_the_injection(part: Part) -> None:
    seen = watch(part)
    options = part("nodes.bridge.inject").with_residuals({}, residuals(part), lambda: None, seen)
    patch = options["patches"]["output_block_patch"][0]
    for index in range(3):
        patch(torch.full(SHAPE, 7.0), torch.full(SHAPE, 5.0), {"block": ("output", index)})
    size = 48**0.5  # of the norm of a row of ones
    norms = [[round(float(n[0]) / size, 4) for n in seen.norms[k : k + 2]] for k in (0, 2, 4, 6)]
    assert dict(zip(seen.order, norms, strict=True)) == {
        3: [10, 7],
        2: [3, 5],
        1: [2, 5],
        0: [1, 5],
    }
