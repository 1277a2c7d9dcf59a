"""A compiled net gives the same residuals, compiles a bounded number of times, and never stops a run."""

import copy
from collections.abc import Callable

import pytest
import torch
from counting_backend import CountingBackend
from fakes import random_hint, randomise_, small_net
from torch import nn

import cnet_core as cn
from cnet_core.nets.compiled import MOST_GRAPHS

#: A net of two blocks and a middle, which torch traces in less than a second.
SHORT = cn.UNetConfig(
    model_channels=32,
    channel_mult=(1,),
    num_res_blocks=1,
    transformer_depth=(1,),
    middle_depth=-1,
    context_dim=16,
    num_heads=4,
)


def _net(backend: object = None) -> cn.ControlNet:
    net = randomise_(cn.ControlNet(SHORT), 1)
    if backend is not None:
        net.compile_steps(backend)
    return net


def _inputs(rows: int = 2, side: int = 4) -> tuple[torch.Tensor, ...]:
    numbers = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 4, side, side, generator=numbers)
    features = torch.randn(1, 32, side, side, generator=numbers)
    return x, features, torch.full((rows,), 500.0), torch.randn(rows, 8, 16, generator=numbers)


def _same(found: cn.Residuals, expected: cn.Residuals) -> bool:
    pairs = zip(found.blocks, expected.blocks, strict=True)
    return all(a is b is None or torch.equal(a, b) for a, b in pairs)


def _messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "cnet"]


def test_scales_that_change_at_every_step_compile_once_and_weights_written_in_place_count() -> None:
    plain, net = _net(), _net(backend := CountingBackend())
    with torch.inference_mode():
        for scale in (1.0, 0.7, 0.3):
            scales = [scale, 1.0, scale]
            assert _same(
                net.residuals(*_inputs(), None, scales), plain.residuals(*_inputs(), None, scales)
            )
    with torch.no_grad():
        for one in (net, plain):
            one.zero_convs[0][0].weight.mul_(2)
    with torch.inference_mode():
        assert _same(net.residuals(*_inputs()), plain.residuals(*_inputs()))
    assert backend.graphs == 1


@pytest.mark.slow
def test_replaced_weights_count_and_do_not_compile_again() -> None:
    plain, net = _net(), _net(backend := CountingBackend())
    with torch.no_grad():
        net.residuals(*_inputs())
        for one in (net, plain):  # as LoRAs of ComfyUI do
            conv = one.zero_convs[0][0]
            conv.weight = nn.Parameter(conv.weight * 2, requires_grad=False)
        assert _same(net.residuals(*_inputs()), plain.residuals(*_inputs()))
    assert backend.graphs == 1


@pytest.mark.slow
def test_changing_sizes_rows_and_blocks_compile_a_few_times_and_log_once(caplog) -> None:
    plain, net = _net(), _net(backend := CountingBackend())
    calls = [(_inputs(rows, side), None) for rows in (1, 2) for side in (2, 4, 6)]
    calls.append((_inputs(), [1.0, 0.0, 0.0]))
    with torch.no_grad():
        for args, scales in (*calls, *calls):
            assert _same(net.residuals(*args, None, scales), plain.residuals(*args, None, scales))
    assert backend.graphs == MOST_GRAPHS
    assert _messages(caplog) == [
        "A step of a ControlNet runs uncompiled. Only 4 combinations of size, rows and blocks are compiled."
    ]


@pytest.mark.slow
def test_units_and_nets_of_one_shape_share_what_is_compiled() -> None:
    backend = CountingBackend()
    for _ in range(3):
        net = _net(backend)
        units = [cn.ControlUnit(net, random_hint(32, 32, seed=k), strength=0.5) for k in (1, 2)]
        x, _, timesteps, context = _inputs()
        rows = (cn.Row("uncond"), cn.Row("cond"))
        call = cn.UNetCall(x, timesteps, context, None, rows)
        with torch.no_grad():
            cn.ControlStack(units).residuals(call)
    assert backend.graphs == 1


@pytest.mark.slow
def test_a_compiler_that_fails_is_given_up_with_one_line(caplog) -> None:
    def fail(graph: object, inputs: object) -> Callable[..., object]:
        raise RuntimeError("there is no C++ compiler")

    plain, net = _net(), _net(fail)
    with torch.no_grad():
        for _ in range(2):
            assert _same(net.residuals(*_inputs()), plain.residuals(*_inputs()))
    (message,) = _messages(caplog)
    assert "there is no C++ compiler" in message


@pytest.mark.slow
def test_a_host_can_forbid_it_for_the_time_being(caplog) -> None:
    casts = True
    net = _net()
    net.compile_steps(backend := CountingBackend(), allows=lambda net: not casts)
    with torch.no_grad():
        net.residuals(*_inputs())
        assert backend.graphs == 0
        casts = False
        net.residuals(*_inputs())
    assert backend.graphs == 1
    (message,) = _messages(caplog)
    assert "low VRAM" in message


@pytest.mark.slow
def test_what_is_wrong_with_a_call_is_raised_as_ever() -> None:
    x, features, timesteps, context = _inputs()
    with torch.no_grad(), pytest.raises(ValueError, match="different families"):
        _net(CountingBackend()).residuals(x, features, timesteps, context, torch.zeros(2, 5))


def test_training_copies_and_files_see_the_plain_net(tmp_path) -> None:
    net = _net(backend := CountingBackend()).requires_grad_(True)
    blocks = net.residuals(*_inputs()).blocks
    sum(block.sum() for block in blocks if block is not None).backward()
    assert all(parameter.grad is not None for parameter in net.zero_convs.parameters())
    assert backend.graphs == 0
    assert net.state_dict().keys() == _net().state_dict().keys()
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    with torch.no_grad():
        assert _same(copy.deepcopy(net).residuals(*_inputs()), net.residuals(*_inputs()))


def test_a_loaded_net_compiles_on_request(tmp_path) -> None:
    cn.save_controlnet(small_net(), tmp_path / "net.safetensors")
    net = cn.load_controlnet(tmp_path / "net.safetensors", compile=True)
    assert net.compiles
    assert not cn.load_controlnet(tmp_path / "net.safetensors").compiles


@pytest.mark.slow
def test_inductor_gives_the_same_numbers() -> None:
    plain, net = _net(), _net("inductor")
    with torch.inference_mode():
        found, expected = net.residuals(*_inputs()), plain.residuals(*_inputs())
    for a, b in zip(found.blocks, expected.blocks, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))
