"""ComfyUI's options for dtypes and memory: control stays native control's, and rounds no worse than it."""

from collections.abc import Iterator

import pytest
import torch
from flows import Control, Flow, effect_share
from graphs import Sampling
from host import Host
from weights import SD15, family, write_models

FLOW = Flow(family(SD15), Sampling(steps=3))
#: Options by what is rounded to; they go together where they have nothing to do with each other.
MODES = {
    "float16": ["--fp16-unet", "--async-offload"],
    "bfloat16": ["--bf16-unet", "--disable-smart-memory"],
    "float8": ["--fp8_e4m3fn-unet"],
}
#: What one weight of a dtype is off by at most, as a share of it.
ROUNDING = {"float16": 2**-11, "bfloat16": 2**-8, "float8": 2**-4}


@pytest.fixture(scope="module", params=MODES)
def mode(
    request: pytest.FixtureRequest, comfy: Host, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Host]]:
    """The same ComfyUI with other options."""
    base = tmp_path_factory.mktemp("mode")
    write_models(base / "models")
    host = Host(comfy.place, base, MODES[request.param])
    yield request.param, host
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
