"""What follows from the formula of guidance, measured on a real (small, random) UNet and ControlNet."""

import math
from functools import cache

import pytest
import torch
from fakes import call_inputs, random_hint, small_net, small_unet
from torch import Tensor

import cnet_core as cn

#: Strength that is small enough for the response to be linear, in float64.
SMALL = 1e-4


@pytest.fixture
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def same_text(rows: int = 2) -> list[Tensor]:
    """A call whose rows are all alike, as with an empty prompt."""
    return [t.repeat(rows, *[1] * (t.dim() - 1)) for t in call_inputs(rows=1)]


def test_with_the_empty_prompt_and_both_branches_the_cfg_scale_does_nothing_exactly(
    one_thread: None,
) -> None:
    unet = small_unet()
    with cn.patch_unet(unet, cn.ControlUnit(small_net(), random_hint())):
        uncond, cond = unet(*same_text()).chunk(2)
    assert torch.equal(uncond, cond)  # so uncond + g * (cond - uncond) is the same for every g


def test_with_more_threads_what_it_does_is_rounding() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        unet = small_unet()
        with cn.patch_unet(unet, cn.ControlUnit(small_net(), random_hint())):
            uncond, cond = unet(*same_text()).chunk(2)
    finally:
        torch.set_num_threads(before)
    for cfg_scale in (1.5, 7.5, 15.0):
        guided = uncond + cfg_scale * (cond - uncond)
        torch.testing.assert_close(guided, uncond, rtol=0, atol=1e-5 * cfg_scale)


@cache
def double_nets() -> tuple[cn.UNet, cn.ControlNet]:
    return small_unet().double(), small_net().double()


@cache
def predictions(strength: float, routing: cn.HintRouting, cfg_scale: float) -> tuple[Tensor, ...]:
    """The UNet's uncond and cond noise."""
    unet, net = double_nets()
    unit = cn.ControlUnit(net, random_hint(), strength, routing)
    with cn.patch_unet(unet, unit) as attachment:
        attachment.cfg_scale = cfg_scale
        return unet(*(tensor.double() for tensor in same_text())).chunk(2)


def response(routing: cn.HintRouting, cfg_scale: float) -> float:
    """How much of the control's plain effect on the cond row is in the guided noise."""

    def guided(strength: float, way: cn.HintRouting) -> tuple[Tensor, Tensor]:
        uncond, cond = predictions(strength, way, cfg_scale)
        return uncond + cfg_scale * (cond - uncond), cond

    plain, plain_cond = guided(0.0, cn.HintRouting.both())
    effect = guided(SMALL, cn.HintRouting.both())[1] - plain_cond
    found = guided(SMALL, routing)[0] - plain
    return float((found * effect).sum() / effect.square().sum())


@pytest.mark.parametrize("cfg_scale", [1.5, 3.0, 7.5, 15.0])
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0, 4.0])
def test_target_gain_is_the_response_at_every_cfg_scale(gain: float, cfg_scale: float) -> None:
    assert response(cn.HintRouting.target_gain(gain), cfg_scale) == pytest.approx(gain, rel=0.02)


@pytest.mark.parametrize(
    ("routing", "want"), [(cn.HintRouting.both(), 1.0), (cn.HintRouting.cond_only(), 7.5)]
)
def test_both_counts_once_and_cond_only_as_often_as_the_cfg_scale(routing, want: float) -> None:
    assert response(routing, 7.5) == pytest.approx(want, rel=0.02)


@pytest.mark.parametrize(
    ("rows", "cfg_scale"), [(("uncond", "cond"), 1.0), (("cond", "cond"), 7.5), (("cond",), None)]
)
def test_without_guidance_the_cond_row_carries_the_target_gain(rows, cfg_scale) -> None:
    unet, net, inputs = small_unet(), small_net(), same_text()

    def cond_row(strength: float, routing: cn.HintRouting) -> Tensor:
        with cn.patch_unet(
            unet, cn.ControlUnit(net, random_hint(), strength, routing), rows=rows
        ) as attachment:
            attachment.cfg_scale = cfg_scale
            return unet(*inputs)[1]

    want = cond_row(2.0, cn.HintRouting.both())
    assert torch.allclose(cond_row(1.0, cn.HintRouting.target_gain(2.0)), want, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 8), (9, 13), (16, 40)])
def test_resolution_goes_by_the_true_side_of_every_block(height: int, width: int) -> None:
    net = small_net()
    x, t, context = call_inputs(rows=1, height=height, width=width)
    found = net(x, random_hint(8 * height, 8 * width), t, context)
    sides = [math.sqrt(block.shape[-2] * block.shape[-1]) for block in found.blocks]
    want = [math.sqrt(height * width) / side for side in sides]
    scales = cn.BlockScales.resolution(normalised=False)
    assert scales.values(net.config.block_sizes(height, width)) == pytest.approx(want)
