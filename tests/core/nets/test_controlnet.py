"""The ControlNet itself: a fresh one changes nothing, depth is cut without a difference, misuse is named."""

import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, small_net, small_unet

import cnet_core as cn

#: (out channels, in channels, stride) of the released hint encoder, lllyasviel/ControlNet cldm/cldm.py.
RELEASED_HINT_CONVS = [
    (16, 3, 1),
    (16, 16, 1),
    (32, 16, 2),
    (32, 32, 1),
    (96, 32, 2),
    (96, 96, 1),
    (256, 96, 2),
]


@pytest.mark.parametrize("hint_init", ["balanced", "released"])
def test_a_fresh_net_gives_exact_zeros(hint_init: str) -> None:
    net = cn.ControlNet.from_unet(small_unet(), hint_init=hint_init)
    x, timesteps, context = call_inputs()
    residuals = net(x, random_hint(), timesteps, context)
    assert len(residuals.skips) == 12
    assert all(r is not None and not r.any() for r in residuals.blocks)


def test_from_unet_copies_the_encoder() -> None:
    unet = small_unet()
    weights = cn.ControlNet.from_unet(unet).state_dict()
    shared = [
        k for k in unet.state_dict() if k.startswith(("time_embed", "input_blocks", "middle_block"))
    ]
    assert shared
    assert all(torch.equal(weights[k], unet.state_dict()[k]) for k in shared)


def test_hint_encoder_has_the_released_widths() -> None:
    convs = [m for m in small_net().input_hint_block if isinstance(m, torch.nn.Conv2d)]
    assert [(c.out_channels, c.in_channels, c.stride[0]) for c in convs[:-1]] == RELEASED_HINT_CONVS
    assert (convs[-1].out_channels, convs[-1].in_channels) == (SMALL.model_channels, 256)


def test_balanced_init_keeps_the_hints_variance_and_released_loses_it() -> None:
    lines = (random_hint(128, 128) > 0.95).float()
    spread = {}
    for init in ("balanced", "released"):
        torch.manual_seed(0)
        block = cn.ControlNet.from_unet(small_unet(), hint_init=init).input_hint_block
        before_last = torch.nn.Sequential(*block[:-1])
        by_hint = before_last(lines) - before_last(torch.zeros_like(lines))
        spread[init] = float(by_hint.detach().square().mean().sqrt())
    assert spread["released"] < 1e-3
    assert 0.05 < spread["balanced"] < 5


@pytest.mark.parametrize("last", [0, 1, 5, 11, 12])
def test_depth_cut_gives_the_same_numbers_bit_for_bit(last: int) -> None:
    net = small_net()
    x, timesteps, context = call_inputs()
    features = net.hint_features(random_hint())
    full = net.residuals(x, features, timesteps, context)
    cut = net.residuals(
        x, features, timesteps, context, scales=[1.0] * (last + 1) + [0.0] * (12 - last)
    )
    assert [r is not None for r in cut.blocks] == [i <= last for i in range(13)]
    assert all(
        torch.equal(a, b)
        for a, b in zip(cut.blocks[: last + 1], full.blocks[: last + 1], strict=True)
    )


def test_no_block_is_run_below_the_last_scale() -> None:
    net = small_net()
    ran = []
    for index, block in enumerate([*net.input_blocks, net.middle_block]):
        block.register_forward_hook(lambda *_, i=index: ran.append(i))
    x, timesteps, context = call_inputs()
    net.residuals(
        x, net.hint_features(random_hint()), timesteps, context, scales=[0, 1, 0, 1] + [0] * 9
    )
    assert ran == [0, 1, 2, 3]


def test_scales_multiply() -> None:
    net = small_net()
    x, timesteps, context = call_inputs()
    features = net.hint_features(random_hint())
    full = net.residuals(x, features, timesteps, context)
    scales = [0.5 + 0.1 * i for i in range(13)]
    scaled = net.residuals(x, features, timesteps, context, scales=scales)
    for index, (a, b) in enumerate(zip(full.blocks, scaled.blocks, strict=True)):
        torch.testing.assert_close(b, a * scales[index])


def test_misuse_is_named() -> None:
    net = small_net()
    x, timesteps, context = call_inputs()
    with pytest.raises(ValueError, match=r"takes \(N, 3, 8H, 8W\)"):
        net(x, torch.zeros(1, 4, 64, 64), timesteps, context)
    with pytest.raises(ValueError, match="32 x 64 pixels, but the latents need 64 x 64"):
        net(x, torch.zeros(1, 3, 64, 32), timesteps, context)
    with pytest.raises(ValueError, match=r"takes no `y` \(SD1.x, SD2.x\)"):
        net(x, random_hint(), timesteps, context, torch.zeros(2, 10))
    with pytest.raises(ValueError, match="12 block scales"):
        net.residuals(x, net.hint_features(random_hint()), timesteps, context, scales=[1.0] * 12)
    with pytest.raises(ValueError, match="'balanced' or 'released'"):
        cn.ControlNet.from_unet(small_unet(), hint_init="kaiming")  # type: ignore[arg-type]
    wrapped = small_unet()
    wrapped.time_embed[0] = torch.nn.Sequential(wrapped.time_embed[0])
    with pytest.raises(ValueError, match=r"has no time_embed\.0\.weight, so its encoder cannot"):
        cn.ControlNet.from_unet(wrapped)
    with pytest.raises(TypeError, match="without a `config`"):
        cn.ControlNet.from_unet(torch.nn.Linear(1, 1))
