"""ComfyUI's options for dtypes and memory: control stays native control's, and rounds no worse than it."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from flows import Control, Flow, effect_share
from graphs import Sampling
from host import Host, knows
from weights import SD15, family, write_models

FLOW = Flow(family(SD15), Sampling(steps=3))
#: What one weight of a dtype is off by at most, as a share of it.
ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8, "float8": 2**-4}


@dataclass(frozen=True)
class Mode:
    """Options, and what they round to."""

    dtype: str
    options: tuple[str, ...]
    cuda: bool = False  # whether they need a CUDA device


#: Options go together where they have nothing to do with each other.
MODES = {
    "fp16, async offload": Mode("float16", ("--fp16-unet", "--async-offload")),
    "bf16, no smart memory": Mode("bfloat16", ("--bf16-unet", "--disable-smart-memory")),
    "fp8": Mode("float8", ("--fp8_e4m3fn-unet",)),
    "low VRAM": Mode("float16", ("--fp16-unet", "--lowvram"), cuda=True),
    "no VRAM": Mode("float16", ("--fp16-unet", "--novram"), cuda=True),
    "high VRAM": Mode("float16", ("--fp16-unet", "--highvram"), cuda=True),
    "dynamic VRAM": Mode("float16", ("--fp16-unet", "--enable-dynamic-vram"), cuda=True),
}


@pytest.fixture(scope="module", params=MODES)
def mode(
    request: pytest.FixtureRequest, comfy: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Host]]:
    """The same ComfyUI with other options."""
    wanted = MODES[request.param]
    if wanted.cuda and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    if not knows(comfy.place, wanted.options):
        pytest.skip(f"this ComfyUI does not know {wanted.options}")
    base = tmp_path_factory.mktemp("mode")
    write_models(base / "models")
    device = () if wanted.cuda else ("--cpu",)
    host = Host(comfy.place, base, wanted.options, device=device)
    yield wanted.dtype, host
    host.stop()


def test_control_is_native_controls_and_the_plain_modes(
    comfy: Host, mode: tuple[str, Host]
) -> None:
    dtype, host = mode
    runs = {kind: Control(kind) for kind in ("none", "native", "ours")}
    here = {kind: FLOW.run(host, kind, control) for kind, control in runs.items()}
    plain = {kind: FLOW.run(comfy, kind, control) for kind, control in runs.items()}
    assert effect_share(here["none"], here["native"], here["ours"]) <= ROUNDING[dtype]
    ours, native = (
        _distance(here[kind].samples, plain[kind].samples) for kind in ("ours", "native")
    )
    assert 0 < ours <= 1.1 * native


def _distance(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())
