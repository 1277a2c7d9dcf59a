"""Stability's own SDXL UNet, plain and with residuals added between its blocks, as recorded (golden/make_sgm.py)."""

from pathlib import Path

import pytest
import torch
from ramps import fill
from safetensors.torch import load_file
from sgm_shape import CONFIG, call, hint

import cnet_core as cn

GOLDEN = load_file(Path(__file__).parent / "golden" / "sgm.safetensors")


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


@pytest.fixture(scope="module")
def unet() -> torch.nn.Module:
    """Ours with the weights that sgm's had, by key."""
    return fill(cn.UNet(CONFIG), "sgm.unet")


def test_our_unet_is_stabilitys(unet: torch.nn.Module) -> None:
    assert relative(unet(*call()), GOLDEN["plain"]) <= 1e-5


def test_patched_it_predicts_what_stabilitys_does_with_residuals_added(
    unet: torch.nn.Module,
) -> None:
    net = fill(cn.ControlNet(CONFIG), "sgm.control")
    with cn.patch_unet(unet, cn.ControlUnit(net, hint())):
        assert relative(unet(*call()), GOLDEN["controlled"]) <= 1e-5


def test_control_is_large_enough_for_the_comparison_to_mean_something() -> None:
    assert relative(GOLDEN["plain"], GOLDEN["controlled"]) > 1e-2
