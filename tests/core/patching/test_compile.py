"""torch.compile before and after patching, with a backend that only traces."""

import pytest
import torch
from fake_hosts import known_call, known_unit, make_fake_unet
from torch._dynamo.utils import counters

import cnet_core as cn

BACKEND = "eager"


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch.compiler.reset()
    counters.clear()
    yield
    torch.compiler.reset()


def test_compiled_after_patching_breaks_the_graph_once() -> None:
    unet, inputs = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()):
        want = unet(*inputs)
        got = torch.compile(unet, backend=BACKEND)(*inputs)
    assert torch.equal(got, want)
    assert counters["stats"]["unique_graphs"] <= 2
    assert len(counters["graph_break"]) == 1  # one place, which nested frames count twice


def test_another_step_compiles_nothing_anew() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call()
    compiled = torch.compile(unet, backend=BACKEND)
    with cn.patch_unet(unet, known_unit(window=cn.Window.webui(), end_percent=0.5)) as attachment:
        for i in range(3):
            attachment.step = (i, 10)
            compiled(x, t - i, context)
    assert counters["stats"]["unique_graphs"] <= 2


def test_compiled_before_patching_gets_the_control_and_loses_it() -> None:
    unet, inputs = make_fake_unet(), known_call()
    plain = unet(*inputs)
    with cn.patch_unet(unet, known_unit()):
        want = unet(*inputs)
    compiled = torch.compile(unet, backend=BACKEND)
    compiled(*inputs)
    with cn.patch_unet(compiled, known_unit()):
        assert torch.equal(compiled(*inputs), want)
        assert len(cn.attachments(compiled)) == 1
    assert torch.equal(compiled(*inputs), plain)


def test_patching_what_was_compiled_elsewhere_never_drops_control_silently() -> None:
    unet, inputs = make_fake_unet(), known_call()
    compiled = torch.compile(unet, backend=BACKEND)
    compiled(*inputs)
    with (
        cn.patch_unet(unet, known_unit()),
        pytest.raises(RuntimeError, match=r"torch.compiler.reset\(\)"),
    ):
        compiled(*inputs)
