"""ControlUnit and ControlStack: rows, windows, caches, masks, sums."""

from dataclasses import replace

import pytest
import torch
from fakes import call_inputs, random_hint, small_net

import cnet_core as cn
from cnet_core.control.rows import rows_of
from cnet_core.engine.usage import Counts

NET = small_net()
UC = ("uncond", "cond")


def call(
    rows=UC, batch: int = 2, timestep: float = 500, cfg_scale: float | None = None
) -> cn.UNetCall:
    x, _, context = call_inputs(rows=batch)
    timesteps = torch.full((batch,), float(timestep))
    return cn.UNetCall(x, timesteps, context, None, rows_of(rows, batch), cfg_scale)


def full(batch: int = 2, hint: torch.Tensor | None = None) -> cn.Residuals:
    """The net's own residuals for every row, without routing."""
    x, timesteps, context = call_inputs(rows=batch)
    return NET(x, random_hint() if hint is None else hint, timesteps, context)


def assert_blocks_close(
    got: cn.Residuals, want: list[torch.Tensor], tolerance: float = 1e-5
) -> None:
    for a, b in zip(got.blocks, want, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


GAINS = {
    "both": (cn.HintRouting.both(), UC, 2, [1, 1], 2),
    "cond only": (cn.HintRouting.cond_only(), UC, 2, [0, 1], 1),
    "cond only, cond first": (cn.HintRouting.cond_only(), ("cond", "uncond"), 4, [1, 1, 0, 0], 2),
    "uncond only": (cn.HintRouting.uncond_only(), UC, 2, [1, 0], 1),
    "weighted": (cn.HintRouting.weighted(0.5, 0.25), UC, 4, [0.25, 0.25, 0.5, 0.5], 4),
    "several conds": (cn.HintRouting.cond_only(), ("cond", "uncond", "cond"), 3, [1, 0, 1], 2),
    "no guidance": (cn.HintRouting.cond_only(), ("cond",), 3, [1, 1, 1], 3),
}


@pytest.mark.parametrize("name", GAINS)
def test_each_row_gets_its_gain_and_rows_without_are_not_computed(name: str) -> None:
    routing, rows, batch, gains, computed = GAINS[name]
    stack = cn.ControlStack([cn.ControlUnit(NET, random_hint(), routing=routing)])
    got = stack.residuals(call(rows, batch))
    factor = torch.tensor(gains, dtype=torch.float32)[:, None, None, None]
    assert_blocks_close(got, [b * factor for b in full(batch).blocks])
    assert stack.counts.rows == computed


def test_strength_multiplies() -> None:
    got = cn.ControlStack([cn.ControlUnit(NET, random_hint(), 1.3)]).residuals(call())
    assert_blocks_close(got, [1.3 * b for b in full().blocks])


def test_units_add_up() -> None:
    other = random_hint(seed=9)
    units = [
        cn.ControlUnit(NET, random_hint(), 0.5),
        cn.ControlUnit(NET, other, routing=cn.HintRouting.cond_only()),
    ]
    got = cn.ControlStack(units).residuals(call())
    want = [
        0.5 * a + torch.stack([0 * b[0], b[1]])
        for a, b in zip(full().blocks, full(hint=other).blocks, strict=True)
    ]
    assert_blocks_close(got, want)


@pytest.mark.parametrize(
    "unit",
    [
        cn.ControlUnit(NET, random_hint(), strength=0),
        cn.ControlUnit(NET, random_hint(), scales=cn.BlockScales.custom([0] * 13)),
        cn.ControlUnit(NET, random_hint(), routing=cn.HintRouting.weighted(0, 0)),
        cn.ControlUnit(NET, random_hint(), start_percent=0.6),
        cn.ControlUnit(NET, random_hint(), end_percent=0.4),
        cn.ControlUnit(
            NET, random_hint(), scales=cn.BlockScales.uniform().over_time([(0.5, 0), (1, 1)])
        ),
    ],
    ids=["strength", "scales", "routing", "before its start", "after its end", "time curve"],
)
def test_inactive_units_are_not_run(unit: cn.ControlUnit) -> None:
    stack = cn.ControlStack([unit])
    assert stack.residuals(call(timestep=500)) is None  # percent 0.4995
    assert (stack.counts.evaluations, stack.counts.hint_encodings) == (0, 0)


WINDOWS = {
    "whole run": (0.0, 1.0, {999: True, 500: True, 0: True}),
    "first half": (0.0, 0.5, {999: True, 500: True, 499: False, 0: False}),
    "second half": (0.5, 1.0, {999: False, 500: False, 499: True, 0: True}),
    "a point": (1.0, 1.0, {999: False, 0: True}),
}


@pytest.mark.parametrize("name", WINDOWS)
def test_window_counts_in_training_time(name: str) -> None:
    start, end, active = WINDOWS[name]
    unit = cn.ControlUnit(NET, random_hint(), start_percent=start, end_percent=end)
    got = {t: cn.ControlStack([unit]).residuals(call(timestep=t)) is not None for t in active}
    assert got == active


def test_rows_of_different_times_have_their_own_window() -> None:
    x, _, context = call_inputs()
    two_times = cn.UNetCall(x, torch.tensor([900.0, 100.0]), context, None, rows_of(UC, 2))
    stack = cn.ControlStack([cn.ControlUnit(NET, random_hint(), end_percent=0.5)])
    got = stack.residuals(two_times)
    assert got.middle[0].any()
    assert not got.middle[1].any()
    assert stack.counts.rows == 1


def test_hint_is_encoded_once() -> None:
    stack = cn.ControlStack([cn.ControlUnit(NET, random_hint())])
    for timestep in (900, 500, 100):
        stack.residuals(call(timestep=timestep))
    assert stack.counts == Counts(hint_encodings=1, evaluations=3, rows=6)
    stack.clear()
    stack.residuals(call())
    assert stack.counts.hint_encodings == 2


def test_hint_is_encoded_anew_when_the_weights_change() -> None:
    net = small_net()
    stack = cn.ControlStack([cn.ControlUnit(net, random_hint())])
    before = stack.residuals(call())
    with torch.no_grad():
        net.input_hint_block[0].weight.mul_(2)
    after = stack.residuals(call())
    assert not torch.equal(before.middle, after.middle)
    stack.residuals(call())
    assert stack.counts.hint_encodings == 2


def test_one_hint_per_picture() -> None:
    hints = random_hint(count=2)
    stack = cn.ControlStack([cn.ControlUnit(NET, hints, routing=cn.HintRouting.cond_only())])
    got = stack.residuals(call(batch=4))
    want = full(4, hints.repeat(2, 1, 1, 1))
    assert_blocks_close(got, [torch.cat([0 * b[:2], b[2:]]) for b in want.blocks])


def test_mask_acts_by_place_and_picture() -> None:
    mask = torch.zeros(2, 32, 32)
    mask[0, :, :16] = 1.0  # the left half of the first picture; nothing of the second
    got = cn.ControlStack([cn.ControlUnit(NET, random_hint(), mask=mask)]).residuals(call(batch=4))
    first, want = got.skips[0], full(4).skips[0]
    torch.testing.assert_close(first[0::2, :, :, :4], want[0::2, :, :, :4])
    assert not first[0::2, :, :, 4:].any()
    assert not first[1::2].any()


def test_a_gray_mask_is_a_strength() -> None:
    got = cn.ControlStack(
        [cn.ControlUnit(NET, random_hint(), mask=torch.full((7, 5), 0.25))]
    ).residuals(call())
    assert_blocks_close(got, [0.25 * b for b in full().blocks])


def test_target_gain_follows_the_cfg_scale() -> None:
    stack = cn.ControlStack(
        [cn.ControlUnit(NET, random_hint(), routing=cn.HintRouting.target_gain(2))]
    )
    for scale, uncond in ((3.0, 0.5), (5.0, 0.75)):
        got = stack.residuals(call(cfg_scale=scale))
        assert_blocks_close(
            got, [b * torch.tensor([uncond, 1])[:, None, None, None] for b in full().blocks]
        )


def test_target_gain_asks_for_no_cfg_scale_outside_its_window() -> None:
    gain = cn.HintRouting.target_gain(2)
    unit = cn.ControlUnit(NET, random_hint(), routing=gain, start_percent=0.9)
    assert cn.ControlStack([unit]).residuals(call(cfg_scale=None)) is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: cn.ControlUnit(NET, torch.full((1, 3, 64, 64), 255, dtype=torch.uint8)),
            "`hint` has values up to 255; .* divide those of 8 bits by 255",
        ),
        (
            lambda: cn.ControlUnit(NET, random_hint(), mask=torch.full((8, 8), 255)),
            "`mask` has values up to 255",
        ),
        (lambda: cn.ControlUnit(NET, torch.zeros(3, 64, 64)), r"takes \(N, 3, 8H, 8W\)"),
        (lambda: cn.ControlUnit(NET, torch.zeros(1, 1, 64, 64)), r"takes \(N, 3, 8H, 8W\)"),
        (lambda: cn.ControlUnit(NET, torch.zeros(1, 3, 60, 64)), "multiples of 8"),
        (lambda: cn.ControlUnit(NET, torch.full((1, 3, 64, 64), torch.nan)), "NaN"),
        (lambda: cn.ControlUnit(NET, random_hint(), start_percent=-0.1), r"0\.\.1"),
        (
            lambda: cn.ControlUnit(NET, random_hint(), start_percent=0.6, end_percent=0.5),
            "no later than the end",
        ),
        (
            lambda: cn.ControlUnit(NET, random_hint(), mask=torch.ones(4)),
            r"\(H, W\) or \(N, H, W\)",
        ),
        (
            lambda: cn.ControlUnit(NET, random_hint(), mask=torch.full((8, 8), torch.nan)),
            "`mask` holds NaN",
        ),
        (lambda: cn.ControlUnit(NET, random_hint(), strength=float("nan")), "finite"),
    ],
)
def test_bad_units_are_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (
            cn.ControlUnit(NET, random_hint(128, 64)),
            "64 x 128 pixels, but the latents need 64 x 64",
        ),
        (cn.ControlUnit(NET, random_hint(count=3)), "`hint` has 3 pictures, but the batch has 2"),
        (cn.ControlUnit(NET, random_hint(), mask=torch.ones(3, 8, 8)), "`mask` has 3 pictures"),
    ],
)
def test_units_that_do_not_fit_the_call_are_named(unit: cn.ControlUnit, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cn.ControlStack([unit]).residuals(call(batch=4))


def test_another_family_is_named() -> None:
    x, timesteps, _ = call_inputs()
    other = cn.UNetCall(x, timesteps, torch.zeros(2, 8, 1024), None, rows_of(UC, 2))
    with pytest.raises(ValueError, match="1024 wide, but the ControlNet takes 16"):
        cn.ControlStack([cn.ControlUnit(NET, random_hint())]).residuals(other)


def test_an_inpainting_unets_further_channels_are_not_for_the_net() -> None:
    """Such a UNet gets the latents, then a mask and the masked picture: 9 channels."""
    x, timesteps, context = call_inputs()
    nine = torch.cat([x, torch.rand(2, 5, 8, 8)], dim=1)
    unit = cn.ControlUnit(NET, random_hint())
    got = cn.ControlStack([unit]).residuals(
        cn.UNetCall(nine, timesteps, context, None, rows_of(UC, 2))
    )
    assert_blocks_close(got, list(full().blocks))


def test_a_net_for_inpainting_unets_is_refused_by_others() -> None:
    net = cn.ControlNet(replace(NET.config, in_channels=9))
    with pytest.raises(ValueError, match="4 channels, but the ControlNet takes 9"):
        cn.ControlStack([cn.ControlUnit(net, random_hint())]).residuals(call())
