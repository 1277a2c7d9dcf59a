"""Keys and values of the text: computed once for as long as the text is the same, never used for another."""

import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, small_net
from torch.utils.flop_counter import FlopCounterMode

import cnet_core as cn
from cnet_core.rows import rows_of
from cnet_core.text import Text

NET = small_net()


#: Latents large enough beside the text for all of its keys and values to be kept.
SIDE = 24


def stack() -> cn.ControlStack:
    return cn.ControlStack([cn.ControlUnit(NET, random_hint(8 * SIDE, 8 * SIDE))])


def call(context: torch.Tensor, rows: int = 2, branches=("uncond", "cond")) -> cn.UNetCall:
    x, timesteps, _ = call_inputs(rows=rows, height=SIDE, width=SIDE)
    return cn.UNetCall(x, timesteps, context, None, rows_of(branches, rows))


def flops(made: cn.ControlStack, context: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        made.residuals(call(context))
    return counter.get_total_flops()


def expected(context: torch.Tensor) -> cn.Residuals:
    return stack().residuals(call(context))


def assert_equal(got: cn.Residuals, want: cn.Residuals) -> None:
    for a, b in zip(got.blocks, want.blocks, strict=True):
        assert torch.equal(a, b)


def test_keys_and_values_are_computed_once() -> None:
    made, context = stack(), call_inputs()[2]
    made.residuals(call(context))  # encodes the hint too
    kept = flops(made, context)
    anew = flops(made, context.clone())
    tokens, layers = (
        2 * context.shape[1],
        [32] * 4 + [64] * 3,
    )  # SMALL's attention, encoder and middle
    assert anew - kept == sum(2 * 2 * tokens * SMALL.context_dim * width for width in layers)


def test_kept_ones_give_the_same_numbers() -> None:
    made, context = stack(), call_inputs()[2]
    assert_equal(made.residuals(call(context)), made.residuals(call(context)))


def test_text_written_over_in_place_is_seen() -> None:
    made, context = stack(), call_inputs()[2]
    before = made.residuals(call(context))
    context.mul_(-1)
    after = made.residuals(call(context))
    assert not torch.equal(before.middle, after.middle)
    assert_equal(after, expected(context))


def test_inference_tensors_are_never_kept() -> None:
    with torch.inference_mode():
        made, context = stack(), call_inputs()[2].clone()
        made.residuals(call(context))
        context.mul_(-1)
        assert_equal(made.residuals(call(context)), expected(context))


def test_texts_that_take_turns_do_not_mix() -> None:
    made = stack()
    texts = [call_inputs(seed=seed)[2] for seed in range(6)]  # more than are kept
    for _ in range(2):
        for text in texts:
            assert_equal(made.residuals(call(text)), expected(text))


def test_changed_weights_are_seen() -> None:
    net = small_net()
    unit = cn.ControlUnit(net, random_hint(8 * SIDE, 8 * SIDE))
    made, context = cn.ControlStack([unit]), call_inputs()[2]
    before = made.residuals(call(context))
    with torch.no_grad():
        net.middle_block[1].transformer_blocks[0].attn2.to_v.weight.mul_(2)
    assert not torch.equal(before.middle, made.residuals(call(context)).middle)


def test_rows_of_one_text_are_told_apart() -> None:
    context = call_inputs(rows=2)[2]
    hint = random_hint(8 * SIDE, 8 * SIDE)
    made = cn.ControlStack([cn.ControlUnit(NET, hint, routing=cn.HintRouting.cond_only())])
    for branches in (("uncond", "cond"), ("cond", "uncond")):
        got = made.residuals(call(context, branches=branches))
        row = branches.index("cond")
        torch.testing.assert_close(got.middle[row], expected(context).middle[row])


@pytest.mark.parametrize("most", [0, 10**9])
def test_what_is_kept_is_bounded(most: int) -> None:
    text, layers = Text(torch.ones(1, 3, 4), most), [torch.nn.Linear(4, 8) for _ in range(2)]
    with torch.no_grad():
        first, second = (text.keys_and_values(*layers) for _ in range(2))
    assert (first[0] is second[0]) == bool(most)
    assert torch.equal(first[1], second[1])


def test_gradients_reach_the_layers_of_keys_and_values_at_every_step() -> None:
    net = small_net().requires_grad_(True)
    unit = cn.ControlUnit(net, random_hint(8 * SIDE, 8 * SIDE))
    made, context = cn.ControlStack([unit]), call_inputs()[2]
    for _ in range(2):
        net.zero_grad()
        made.residuals(call(context)).middle.sum().backward()
        assert net.middle_block[1].transformer_blocks[0].attn2.to_k.weight.grad.any()
