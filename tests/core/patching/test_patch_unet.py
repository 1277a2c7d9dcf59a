"""patch_unet: what is injected where, and that nothing remains."""

import pytest
import torch
from fakes import FakeUNet, call_inputs, random_hint, small_net, small_unet
from torch import nn

import cnet_core as cn


def unit(**changes: object) -> cn.ControlUnit:
    return cn.ControlUnit(small_net(), random_hint(), **changes)


def test_attach_and_remove_restore_bit_for_bit() -> None:
    unet = small_unet()
    inputs = call_inputs()
    before, shown, keys = unet(*inputs), repr(unet), list(unet.state_dict())
    attachment = cn.patch_unet(unet, unit())
    assert not torch.equal(unet(*inputs), before)
    attachment.remove()
    attachment.remove()
    assert torch.equal(unet(*inputs), before)
    assert (repr(unet), list(unet.state_dict())) == (shown, keys)


def test_a_fresh_net_changes_nothing_bit_for_bit() -> None:
    unet = small_unet()
    inputs = call_inputs()
    before = unet(*inputs)
    with cn.patch_unet(unet, cn.ControlUnit(cn.ControlNet.from_unet(unet), random_hint())):
        assert torch.equal(unet(*inputs), before)


def test_an_error_inside_the_block_restores_the_unet() -> None:
    unet = small_unet()
    inputs = call_inputs()
    before = unet(*inputs)
    with pytest.raises(RuntimeError, match="inside"), cn.patch_unet(unet, unit()):
        raise RuntimeError("inside")
    assert torch.equal(unet(*inputs), before)


def test_a_failed_call_leaves_no_residuals_behind() -> None:
    unet = small_unet()
    inputs = call_inputs()
    with cn.patch_unet(unet, unit()) as attachment:
        first = unet(*inputs)
        attachment.rows = ("cond",) * 3
        with pytest.raises(ValueError, match="cannot be divided"):
            unet(*inputs)
        attachment.rows = ("uncond", "cond")
        assert torch.equal(unet(*inputs), first)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_all_is_the_same_and_the_encoder_keeps_its_features(mode) -> None:
    unet, inputs, seen = small_unet(), call_inputs(), []
    for block in unet.input_blocks:
        block.register_forward_hook(lambda module, args, out: seen.append((out, out.clone())))
    with cn.patch_unet(unet, unit()), cn.patch_unet(unet, unit(strength=0.7)):
        want = unet(*inputs)
        with mode():
            got = unet(*inputs)
    assert torch.equal(got, want)
    assert all(torch.equal(now, then) for now, then in seen)


def test_attachments_add_up_and_leave_in_any_order() -> None:
    unet = small_unet()
    inputs = call_inputs()
    before = unet(*inputs)
    with cn.patch_unet(unet, unit(strength=0.7)):
        one = unet(*inputs)
    first, second = cn.patch_unet(unet, unit(strength=0.4)), cn.patch_unet(unet, unit(strength=0.3))
    torch.testing.assert_close(unet(*inputs), one)
    first.remove()
    second.remove()
    assert torch.equal(unet(*inputs), before)


class Recorder:
    """Stands for a ControlNet of the fake UNet: its residual for block i is the number i + 1 everywhere."""

    def __init__(self, blocks: int) -> None:
        self.blocks = blocks
        self.config = cn.UNetConfig(context_dim=16)
        self.hint_channels = 3
        self.dtype = torch.float32
        self.pooled = False
        self.weights_version = self.hint_version = 0

    def hint_features(self, hint: torch.Tensor) -> torch.Tensor:
        return hint

    def residuals(self, x, features, timesteps, context, y=None, scales=None) -> cn.Residuals:
        return cn.Residuals.of([torch.full_like(x, i + 1.0) for i in range(self.blocks + 1)])


def test_each_residual_reaches_its_own_skip() -> None:
    unet = FakeUNet(blocks=3)
    seen: list[torch.Tensor] = []
    inputs = call_inputs()
    for block in unet.output_blocks:
        block.register_forward_hook(lambda m, args, out: seen.append(args[0][:, 4:]))
    middles: list[torch.Tensor] = []
    unet(*inputs)
    with cn.patch_unet(unet, cn.ControlUnit(Recorder(3), random_hint())):
        unet.output_blocks[0].register_forward_hook(
            lambda m, args, out: middles.append(args[0][:, :4])
        )
        unet(*inputs)
    added = [float((b - a).detach().mean()) for a, b in zip(seen[:3], seen[3:], strict=True)]
    assert added == pytest.approx([3, 2, 1], abs=1e-5)  # the deepest skip is consumed first
    plain_middle = unet.middle_block(_trunk(unet, inputs[0]))
    assert float((middles[0] - plain_middle).detach().mean()) == pytest.approx(4, abs=1e-5)


def _trunk(unet: FakeUNet, x: torch.Tensor) -> torch.Tensor:
    for block in unet.input_blocks:
        x = block(x)
    return x


def test_another_number_of_blocks_is_an_error() -> None:
    unet = FakeUNet(blocks=3)
    cn.patch_unet(unet, cn.ControlUnit(Recorder(4), random_hint()))
    with pytest.raises(ValueError, match="4 skip residuals, but the UNet has 3"):
        unet(*call_inputs())


def test_half_precision_unet_with_a_float_net() -> None:
    unet = small_unet().to(torch.bfloat16)
    x, timesteps, context = call_inputs()
    half = x.to(torch.bfloat16), timesteps, context.to(torch.bfloat16)
    before = unet(*half)
    with cn.patch_unet(unet, unit()):
        after = unet(*half)
    assert after.dtype == torch.bfloat16
    assert not torch.equal(after, before)


def test_keyword_calls_are_understood() -> None:
    unet = small_unet()
    x, timesteps, context = call_inputs()
    with cn.patch_unet(unet, unit()):
        assert torch.equal(
            unet(x, timesteps, context), unet(x=x, context=context, timesteps=timesteps)
        )


def test_gradients_reach_the_net_and_not_the_unet() -> None:
    unet, net = small_unet(), small_net().requires_grad_(True)
    with cn.patch_unet(unet, cn.ControlUnit(net, random_hint())):
        unet(*call_inputs()).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    assert all(p.grad is None for p in unet.parameters())


def test_other_models_are_refused() -> None:
    with pytest.raises(TypeError, match="is a Linear, which has neither"):
        cn.patch_unet(nn.Linear(1, 1), unit())
