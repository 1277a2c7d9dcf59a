"""The adapter for ldm-like UNets: what is added where, and what does not fit."""

import pytest
import torch
from fake_hosts import known_call, known_unit, make_fake_unet
from fakes import FakeUNet

import cnet_core as cn


def expected(unet: FakeUNet, x: torch.Tensor) -> torch.Tensor:
    """FakeUNet's forward with residual k + 1 at skip k and 4 at the middle, written out."""
    skips = []
    for block in unet.input_blocks:
        x = block(x)
        skips.append(x)
    x = unet.middle_block(x) + 4
    for block, extra in zip(unet.output_blocks, (3, 2, 1), strict=True):
        x = block(torch.cat([x, skips.pop() + extra], dim=1))
    return x


def test_residuals_go_to_the_skips_from_the_deepest_on_and_to_the_middle() -> None:
    unet, inputs = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()):
        assert torch.equal(unet(*inputs), expected(unet, inputs[0]))


def test_arguments_may_be_named() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()):
        assert torch.equal(unet(x=x, timesteps=t, context=context), expected(unet, x))


def test_a_net_with_another_number_of_blocks_is_refused() -> None:
    unet, inputs = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit(blocks=5)), pytest.raises(ValueError, match="4 skip"):
        unet(*inputs)


@pytest.mark.parametrize("channels", [2, 8], ids=["narrower", "wider"])
def test_residuals_of_another_width_are_refused_though_they_could_be_added(channels: int) -> None:
    unet, inputs = make_fake_unet(), known_call()
    unit = known_unit(channels=channels)
    with cn.patch_unet(unet, unit), pytest.raises(ValueError, match="must be of one family"):
        unet(*inputs)


def test_a_call_without_context_is_refused() -> None:
    unet, (x, t, _) = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()), pytest.raises(ValueError, match="without `context`"):
        unet(x, t, None)
