"""Route Model Patch: control that is a patch of the model, against guidance of two MODELs by hand."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from host import Host

SCRIPT = Path(__file__).parent / "foreign" / "patch_script.py"
STEPS = 2
#: Kinds, and the own blocks of their nets. A ComfyUI measures those that it has.
BLOCKS = {
    "Qwen DiffSynth": 60,
    "Z-Image Fun v1": 6,
    "Z-Image Fun v2.1": 17,
    "Anima LLLite": 28,
    "Wan Uni3C": 20,
}
BY_HAND = 1e-5


@pytest.fixture(scope="module")
def all_measured(comfy: Host) -> dict[str, Any]:
    """All that the script measured in this ComfyUI."""
    command = [comfy.place.python, str(SCRIPT), str(comfy.place.comfyui)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(params=BLOCKS)
def measured(all_measured: dict[str, Any], request: pytest.FixtureRequest) -> dict[str, Any]:
    """What was measured of one kind."""
    if request.param not in all_measured and request.param != "Qwen DiffSynth":
        pytest.skip("this ComfyUI does not have it")
    return all_measured[request.param]


def test_both_is_the_patch_alone_to_the_last_bit(measured: dict[str, Any]) -> None:
    assert measured["effect"] > 0.05
    assert measured["both"] == 0


@pytest.mark.parametrize("routing", ["cond_only", "uncond_only", "weighted", "batch", "copy"])
def test_a_routing_is_guidance_of_two_models(measured: dict[str, Any], routing: str) -> None:
    assert measured[routing] <= BY_HAND


@pytest.mark.parametrize("what", ["curve", "window", "blocks"])
def test_curves_windows_and_block_scales_are_the_patch_with_other_strengths(
    measured: dict[str, Any], what: str
) -> None:
    assert measured[what] <= BY_HAND


def test_control_on_one_prompt_costs_half_the_rows(measured: dict[str, Any]) -> None:
    assert (measured["both calls"], measured["cond_only calls"]) == (STEPS, STEPS)
    assert measured["cond_only rows"] == STEPS * 1


def test_what_makes_no_sense_is_refused(measured: dict[str, Any]) -> None:
    for case in ("no patch", "routed twice", "another's class"):
        assert "`model` has no control patch" in measured[case]
    assert "`custom_scales` has 3 values" in measured["wrong count"]
    assert "works on tokens" in measured["resolution"]
