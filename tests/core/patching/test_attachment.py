"""Attaching and removing: what the UNet gives meanwhile, and that nothing is left behind."""

import copy
import pickle
import random
from dataclasses import replace

import pytest
import torch
from fake_hosts import known_call, known_unit, make_fake_unet
from fakes import call_inputs, random_hint, small_net, small_unet
from torch import nn

import cnet_core as cn


def state_of(unet: nn.Module) -> tuple[str, dict[str, torch.Tensor]]:
    return repr(unet), {k: v.clone() for k, v in unet.state_dict().items()}


def hooks_of(unet: nn.Module) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in unet.modules()
    )


def same_state(a, b) -> bool:
    return (
        a[0] == b[0]
        and a[1].keys() == b[1].keys()
        and all(torch.equal(a[1][k], b[1][k]) for k in a[1])
    )


def small_unit(**kwargs) -> cn.ControlUnit:
    return cn.ControlUnit(small_net(), random_hint(), **kwargs)


def test_hundred_random_sequences_of_up_to_four_attachments_leave_nothing() -> None:
    rng = random.Random(0)
    unet, inputs = make_fake_unet(), known_call()
    before, plain = state_of(unet), unet(*inputs)
    for _ in range(100):
        live: list[cn.Attachment] = []
        for _ in range(rng.randint(2, 12)):
            if live and (len(live) == 4 or rng.random() < 0.5):
                live.pop(rng.randrange(len(live))).remove()
            else:
                live.append(cn.patch_unet(unet, known_unit(strength=rng.random())))
            assert torch.equal(unet(*inputs), plain) == (not live)
            assert list(cn.attachments(unet)) == live
        for attachment in rng.sample(live, len(live)):
            attachment.remove()
        assert torch.equal(unet(*inputs), plain)
        assert hooks_of(unet) == 0
    assert same_state(state_of(unet), before)


def test_a_real_unet_is_restored_bit_for_bit() -> None:
    unet, inputs = small_unet(), call_inputs()
    before, plain = state_of(unet), unet(*inputs)
    with cn.patch_unet(unet, small_unit()):
        assert same_state(state_of(unet), before)
        assert not torch.equal(unet(*inputs), plain)
    assert same_state(state_of(unet), before)
    assert torch.equal(unet(*inputs), plain)


def test_several_attachments_add_up_like_several_units() -> None:
    unet, inputs = make_fake_unet(), known_call()
    one, two = known_unit(strength=0.5), known_unit(strength=2.0)
    with cn.patch_unet(unet, [one, two]):
        together = unet(*inputs)
    with cn.patch_unet(unet, one), cn.patch_unet(unet, two):
        apart = unet(*inputs)
    assert torch.allclose(together, apart, atol=1e-5)


def test_an_exception_in_the_block_restores_the_unet() -> None:
    unet, inputs = make_fake_unet(), known_call()
    plain = unet(*inputs)
    with pytest.raises(RuntimeError, match="stop"), cn.patch_unet(unet, known_unit()):
        raise RuntimeError("stop")
    assert hooks_of(unet) == 0
    assert torch.equal(unet(*inputs), plain)


def test_an_exception_inside_the_unet_leaves_nothing_of_the_call() -> None:
    unet, inputs = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()):
        want = unet(*inputs)
        handle = unet.output_blocks[1].register_forward_hook(_stop)
        with pytest.raises(RuntimeError, match="stop"):
            unet(*inputs)
        handle.remove()
        assert torch.equal(unet(*inputs), want)


def test_a_call_that_was_interrupted_leaves_nothing_for_the_next() -> None:
    unet, (x, timesteps, context) = make_fake_unet(), known_call()
    plain = unet(x, timesteps, context)
    unit = replace(known_unit(), start_percent=0.3)
    with cn.patch_unet(unet, unit):
        handle = unet.middle_block.register_forward_pre_hook(_interrupt)
        with pytest.raises(KeyboardInterrupt):
            unet(x, timesteps, context)
        handle.remove()
        assert torch.equal(unet(x, torch.full_like(timesteps, 999), context), plain)


def test_gradient_checkpointing_of_the_unet_changes_no_gradient() -> None:
    unet, inputs = small_unet(), call_inputs()
    x = inputs[0].requires_grad_(True)
    gradients = []
    for checkpointing in (False, True):
        unet.gradient_checkpointing = checkpointing
        with cn.patch_unet(unet, small_unit()):
            (gradient,) = torch.autograd.grad(unet(x, *inputs[1:]).square().sum(), x)
        gradients.append(gradient)
    torch.testing.assert_close(*gradients)


def _interrupt(module: nn.Module, args: object) -> None:
    raise KeyboardInterrupt


def _stop(module: nn.Module, args: object, output: object) -> None:
    raise RuntimeError("stop")


def test_an_attachment_lives_until_removed_though_nobody_holds_it() -> None:
    unet, inputs = make_fake_unet(), known_call()
    plain = unet(*inputs)
    cn.patch_unet(unet, known_unit())
    assert not torch.equal(unet(*inputs), plain)
    for attachment in cn.attachments(unet):
        attachment.remove()
    assert torch.equal(unet(*inputs), plain)
    assert cn.attachments(unet) == ()


def test_removing_twice_is_harmless() -> None:
    unet = make_fake_unet()
    attachment = cn.patch_unet(unet, known_unit())
    attachment.remove()
    attachment.remove()
    assert hooks_of(unet) == 0


@pytest.mark.parametrize("copier", [copy.deepcopy, pickle.dumps], ids=["deepcopy", "pickle"])
def test_an_attached_unet_refuses_to_be_copied_and_says_what_to_do(copier) -> None:
    unet = make_fake_unet()
    with (
        cn.patch_unet(unet, known_unit()),
        pytest.raises(TypeError, match=r"call remove\(\) on the Attachment first"),
    ):
        copier(unet)
    copier(unet)


def test_half_precision_while_attached() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()):
        want = unet(x, t, context)
        got = unet.bfloat16()(x.bfloat16(), t, context.bfloat16())
    assert got.dtype == torch.bfloat16
    assert (got.float() - want).norm() < 0.02 * want.norm()


def test_the_controlnet_follows_the_unet_to_another_device() -> None:
    unet, unit = small_unet(), small_unit()
    x, t, context = call_inputs()
    with cn.patch_unet(unet, unit):
        unet.to("meta")
        out = unet(x.to("meta"), t.to("meta"), context.to("meta"))
    assert out.device.type == "meta"


def test_channels_last_while_attached() -> None:
    unet, (x, t, context) = small_unet(), call_inputs()
    with cn.patch_unet(unet, small_unit()):
        want = unet(x, t, context)
        unet.to(memory_format=torch.channels_last)
        got = unet(x.to(memory_format=torch.channels_last), t, context)
    assert torch.allclose(got, want, atol=1e-5)


def test_inference_mode_and_then_autograd_with_one_attachment() -> None:
    unet, net, inputs = small_unet(), small_net().requires_grad_(True), call_inputs()
    unit = cn.ControlUnit(net, random_hint(), mask=torch.ones(8, 8))
    with cn.patch_unet(unet, unit):
        with torch.inference_mode():
            want = unet(*inputs)
        for _ in range(2):  # two backward passes: no graph is kept between calls
            got = unet(*inputs)
            got.sum().backward()
    assert torch.allclose(got, want, atol=1e-6)
    assert all(p.grad is not None for p in net.parameters())


def test_gradients_reach_the_hint_encoder_after_a_call_without_grad() -> None:
    unet, net, inputs = small_unet(), small_net().requires_grad_(True), call_inputs()
    with cn.patch_unet(unet, cn.ControlUnit(net, random_hint())):
        with torch.no_grad():
            unet(*inputs)
        unet(*inputs).sum().backward()
    assert net.input_hint_block[0].weight.grad is not None
