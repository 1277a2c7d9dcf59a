"""The adapter for ldm-like UNets: what is added where, and what does not fit."""

import pytest
import torch
from fake_hosts import known_call, known_unit, make_fake_unet
from fakes import FakeUNet

import cnet_core as cn
from cnet_core.bench.operations import operations


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


@pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("rows", ["uc", "cu", "uccu", "cuuc"])
def test_rows_without_control_are_as_they_were(rows: str, mode: type) -> None:
    x, t, context = known_call(len(rows))
    branches = [{"u": "uncond", "c": "cond"}[letter] for letter in rows]
    unet, unit = make_fake_unet(), known_unit(routing=cn.HintRouting.cond_only())
    with mode(), cn.patch_unet(unet, unit, rows=[cn.Row(branch) for branch in branches]):
        found = unet(x, t, context)
    unet = make_fake_unet()
    with torch.no_grad():
        want = {"c": expected(unet, x), "u": unet(x, t, context)}
    for row, letter in enumerate(rows):
        assert torch.equal(found[row], want[letter][row])


def test_no_zeros_are_added_to_rows_without_control() -> None:
    unet, unit = make_fake_unet(), known_unit(routing=cn.HintRouting.cond_only())
    with cn.patch_unet(unet, unit):
        kinds = operations(lambda: unet(*known_call())).kinds
    assert (kinds["aten.new_zeros.default"], kinds["aten.add_.Tensor"]) == (0, 4)


def test_features_of_another_batch_are_refused() -> None:
    unet, inputs = make_fake_unet(), known_call()
    unit = known_unit(routing=cn.HintRouting.cond_only())
    unet.middle_block.register_forward_hook(lambda m, args, out: torch.cat([out, out]))
    with torch.no_grad(), cn.patch_unet(unet, unit), pytest.raises(ValueError, match="feature map"):
        unet(*inputs)


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
