"""Residuals reach the features they belong to, and mismatches raise."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]
SHAPE = (2, 3, 4, 4)


def residuals(part: Part, side: int = 4) -> Any:
    """Three skips and a middle, distinguished by their values."""
    return of_rows(part, (0, 1), side)


def of_rows(part: Part, rows: tuple[int, ...], side: int = 4, batch: int = 2) -> Any:
    """The same for some rows of a batch."""
    full = [torch.full((len(rows), 3, side, side), value) for value in (1.0, 2.0, 3.0, 10.0)]
    core = part("cnet_core.nets.residuals")
    return core.RowResiduals(core.Residuals.of(full), rows, batch)


def watch(part: Part) -> Any:
    """What the X-ray sees of a call."""
    return part("cnet_core.xray").Watch()


LATENTS = torch.zeros(2, 4, 8, 8)


def injection(part: Part, side: int = 4, on_resize: Callable = lambda: None) -> Any:
    """The injection of these residuals into passes on LATENTS."""
    kind = part("nodes.comfyui.inject").Injection
    return kind(LATENTS, residuals(part, side), on_resize, watch(part))


def call(options: dict, index: int) -> tuple[float, float]:
    """Returns what the patches of output block `index` add to (h, skip)."""
    h, skip = torch.zeros(SHAPE), torch.zeros(SHAPE)
    for patch in options["patches"]["output_block_patch"]:
        h, skip = patch(h, skip, {**options, "block": ("output", index)})
    return h.mean().item(), skip.mean().item()


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_skips_are_taken_deepest_first_and_the_middle_once(part: Part, mode: type) -> None:
    with mode():
        options = injection(part).patch_options({})
        assert [call(options, index) for index in range(3)] == [(10, 3), (0, 2), (0, 1)]


@pytest.mark.parametrize("gradients", [True, False])
def test_without_gradients_the_skip_is_added_to_in_place(part: Part, gradients: bool) -> None:
    options = injection(part).patch_options({})
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
    options = injection(part).patch_options(given)
    assert call(options, 2) == (0, 2)
    assert given["patches"]["output_block_patch"] == [double]


def test_residuals_are_resized_where_a_node_shrinks_the_features(part: Part) -> None:
    noted: list[bool] = []
    options = injection(part, 8, lambda: noted.append(True)).patch_options({})
    assert call(options, 1) == (0, 2)
    assert noted


def test_other_channels_raise(part: Part) -> None:
    options = injection(part).patch_options({})
    patch = options["patches"]["output_block_patch"][0]
    with pytest.raises(ValueError, match="skip connection 1"):
        patch(torch.zeros(SHAPE), torch.zeros(2, 5, 4, 4), {"block": ("output", 1)})


def passes(part: Part, given: Any, *latents: torch.Tensor) -> list[bool]:
    """Returns which passes of the UNet on these latents get the injection."""
    inject = part("nodes.comfyui.inject")
    found: list[bool] = []

    def unet(x: Any, timesteps: Any, context: Any, y: Any, control: Any, options: dict) -> None:
        found.append("output_block_patch" in options.get("patches", {}))

    for x in latents:
        inject.inject(unet, x, transformer_options={inject.INJECTION: given})
    return found


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=["reference last", "reference first"])
def test_a_pass_on_other_latents_gets_no_control(part: Part, order: list[int]) -> None:
    both = [LATENTS, torch.ones_like(LATENTS)]
    given = injection(part)
    assert passes(part, given, *(both[k] for k in order)) == [k == 0 for k in order]
    given.check_used()


@pytest.mark.parametrize(
    "same",
    [
        LATENTS,
        LATENTS.clone(),
        LATENTS.double(),
        torch.cat([LATENTS, torch.ones(2, 5, 8, 8)], dim=1),
    ],
    ids=["the tensor", "a copy", "another dtype", "channels behind"],
)
def test_a_pass_on_the_same_latents_gets_it(part: Part, same: torch.Tensor) -> None:
    assert passes(part, injection(part), same) == [True]


def test_a_unet_that_never_runs_on_our_latents_is_an_error(part: Part) -> None:
    given = injection(part)
    passes(part, given, LATENTS + 1, LATENTS[:1])
    with pytest.raises(RuntimeError, match="changed the latents"):
        given.check_used()


def test_a_unet_that_a_cache_spares_is_none(part: Part) -> None:
    injection(part).check_used()


def test_the_xray_sees_features_before_the_injection(part: Part) -> None:
    seen = watch(part)
    made = part("nodes.comfyui.inject").Injection(LATENTS, residuals(part), lambda: None, seen)
    options = made.patch_options({})
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


@pytest.mark.parametrize("mode", [torch.enable_grad, torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("rows", [(1,), (0, 1), (2, 3), (0, 2)], ids=str)
def test_only_the_rows_that_get_control_are_added_to(part: Part, rows: Any, mode: type) -> None:
    kind, seen = part("nodes.comfyui.inject").Injection, watch(part)
    with mode():
        x = torch.zeros(4, 4, 8, 8)
        made = kind(x, of_rows(part, rows, batch=4), lambda: None, seen)
        options = {**made.patch_options({}), "block": ("output", 0)}
        (patch,) = options["patches"]["output_block_patch"]
        h, skip = patch(torch.ones(4, 3, 4, 4), torch.ones(4, 3, 4, 4), options)
    for found, value in ((h, 10), (skip, 3)):
        want = [1.0 + value * (row in rows) for row in range(4)]
        assert found[:, 0, 0, 0].tolist() == want
