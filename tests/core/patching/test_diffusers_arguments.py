"""The adapter for diffusers' UNets, on a fake one: the arguments it fills, and those it must keep."""

import pytest
import torch
from fake_hosts import FakeDiffusersUNet, known_call, known_unit

import cnet_core as cn

SKIPS = "down_block_additional_residuals"
MIDDLE = "mid_block_additional_residual"


def means(out: torch.Tensor) -> list[float]:
    """Mean of each block's addition: skips, then middle."""
    return out.mean((1, 2, 3, 4)).tolist()


def test_residuals_arrive_shallow_to_deep() -> None:
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, known_unit()):
        assert means(unet(*known_call())) == [1, 2, 3, 4]


def test_what_the_caller_passes_is_added_not_lost() -> None:
    unet = FakeDiffusersUNet()
    theirs = tuple(torch.full((2, 4, 8, 8), 10.0 * k) for k in (1, 2, 3))
    with cn.patch_unet(unet, known_unit()):
        given = {SKIPS: theirs, MIDDLE: torch.full((2, 4, 8, 8), 40.0)}
        assert means(unet(*known_call(), **given)) == [11, 22, 33, 44]
    assert [float(t.mean()) for t in theirs] == [10, 20, 30]


def test_skips_without_a_middle_stay_what_diffusers_takes_them_for() -> None:
    unet, theirs = FakeDiffusersUNet(), (torch.ones(2, 4, 8, 8),)
    with cn.patch_unet(unet, known_unit()):
        assert means(unet(*known_call(), **{SKIPS: theirs})) == [1, 2, 3, 4]
    assert unet.seen_inside is not None
    assert unet.seen_inside[0] is theirs[0]


def test_two_attachments_add_up() -> None:
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, known_unit()), cn.patch_unet(unet, known_unit(strength=2.0)):
        assert means(unet(*known_call())) == [3, 6, 9, 12]


def test_blocks_without_control_get_nothing() -> None:
    unet, scales = FakeDiffusersUNet(), cn.BlockScales.custom([0, 2, 0, 0])
    with cn.patch_unet(unet, known_unit(scales=scales)):
        assert means(unet(*known_call())) == [0, 4, 0, 0]


@pytest.mark.parametrize(
    ("unit", "message"),
    [(known_unit(blocks=3), "2 skip residuals"), (known_unit(channels=1), "must be of one family")],
    ids=["too few, which diffusers would ignore", "too narrow, which torch would broadcast"],
)
def test_residuals_that_do_not_fit_are_refused(unit: cn.ControlUnit, message: str) -> None:
    unet = FakeDiffusersUNet()
    with cn.patch_unet(unet, unit), pytest.raises(ValueError, match=message):
        unet(*known_call())


def test_positional_arguments_stay_positional() -> None:
    """Tools that wrap the forward, DeepCache for one, read them by place."""
    unet, seen = FakeDiffusersUNet(), []
    forward = unet.forward
    unet.forward = lambda *args, **kwargs: seen.append(len(args)) or forward(*args, **kwargs)
    x, timestep, context = known_call()
    with cn.patch_unet(unet, known_unit()):
        assert means(unet(x, timestep, encoder_hidden_states=context)) == [1, 2, 3, 4]
        theirs = [torch.ones(2, 4, 8, 8)] * 3
        assert means(unet(x, timestep, context, None, theirs, theirs[0])) == [2, 3, 4, 5]
    assert seen == [2, 6]


def test_a_unet_with_unknown_conditions_is_refused_and_left_alone() -> None:
    unet = FakeDiffusersUNet("image_hint")
    with pytest.raises(ValueError, match="image_hint"):
        cn.patch_unet(unet, known_unit())
    assert cn.attachments(unet) == ()
