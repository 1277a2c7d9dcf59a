"""Control nets that are not ours: T2I-Adapters, SD3.5, Flux, Qwen-Image … through Apply ControlNet."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from host import Host

SCRIPT = Path(__file__).parent / "foreign" / "script.py"
STEPS = 2
#: Own blocks of a family, which `script.py` measures.
FAMILIES = [
    "T2I SD1.5 full",
    "T2I SD1.5 light",
    "T2I SDXL",
    "SD3.5",
    "SD3",
    "SD3 inpaint",
    "Flux InstantX",
    "Flux XLabs",
    "Flux inpaint",
    "Chroma",
    "Qwen InstantX",
    "HunyuanDiT",
    "Qwen Fun",
]
#: What newer ComfyUIs alone have.
NEWER = "Qwen Fun"
MISMATCHES = {
    "SD1.5's adapter on SDXL": "made for this model",
    "SDXL's adapter on SD1.5": "made for this model",
    "Flux's net on a smaller Flux": "`input` 8",
    "SD3.5's net on fewer blocks": "`output` 2",
    "a model without control": "used none of the ControlNet's residuals",
}
REFUSALS = {
    "hooks of its own": "is a ControlNetSD35 with hooks on the model",
    "no VAE": "`vae` is missing",
    "no inpaint mask": "`inpaint_mask` is missing",
    "a forward of its own": "the ControlNet would have no effect",
    "a net of another model behind Route ControlNet": "takes ControlNets, Control-LoRAs and T2I-Adapters",
    "a mask on a routed adapter": "`mask` cannot travel with a T2I-Adapter",
}
ROUTED = 2e-5


class Measured(dict[str, Any]):
    """What was measured, by family or case."""

    def __missing__(self, case: str) -> Any:
        """Skips what only newer ComfyUIs have."""
        if case == NEWER:
            pytest.skip("this ComfyUI does not have it")
        raise KeyError(case)


@pytest.fixture(scope="module")
def measured(comfy: Host) -> Measured:
    """All that the script measured in this ComfyUI."""
    command = [comfy.place.python, str(SCRIPT), str(comfy.place.comfyui)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return Measured(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("family", FAMILIES)
def test_both_is_native_control_to_the_last_bit(measured: dict[str, Any], family: str) -> None:
    found = measured[family]
    assert found["effect"] > 0.05
    assert found["both"] == 0
    assert found["both calls"] == STEPS


@pytest.mark.parametrize("family", FAMILIES)
def test_each_side_alone_is_native_control_on_its_conditioning(
    measured: dict[str, Any], family: str
) -> None:
    found = measured[family]
    for routing in ("cond_only", "uncond_only", "weighted"):
        assert found[routing] <= ROUTED


@pytest.mark.parametrize("family", FAMILIES)
def test_control_on_one_side_costs_half_the_calls_and_rows(
    measured: dict[str, Any], family: str
) -> None:
    found = measured[family]
    assert (found["native calls"], found["cond_only calls"]) == (2 * STEPS, STEPS)
    if not family.startswith("T2I"):  # an adapter runs once, for the hint alone
        assert (found["both rows"], found["cond_only rows"]) == (2 * STEPS, STEPS)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_block_scale_changes_exactly_the_block_meant(
    measured: dict[str, Any], family: str
) -> None:
    assert measured[family]["blocks"] <= ROUTED


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("what", ["chain", "window", "half a mask", "frame strengths", "batch"])
def test_chains_windows_masks_and_batches_are_native_controls(
    measured: dict[str, Any], family: str, what: str
) -> None:
    assert measured[family][what] <= ROUTED


@pytest.mark.parametrize("family", FAMILIES)
def test_in_context_windows_each_picture_has_its_own_hint(
    measured: dict[str, Any], family: str
) -> None:
    found = measured[family]
    assert found["windows"] <= ROUTED
    assert (found["whole calls"], found["window calls"]) == (2 * STEPS, 2 * STEPS)


#: Which blocks of the model a family's net adds to, by the X-ray's names.
NAMES = {
    "T2I SD1.5 full": ["2", "5", "8", "11"],
    "T2I SDXL": ["3", "5", "8", "middle"],
    "SD3": ["0", "1", "2"],
    "Flux XLabs": [f"double {i}" for i in range(19)],
    "Flux InstantX": [*(f"double {i}" for i in range(19)), *(f"single {i}" for i in range(38))],
    "Qwen InstantX": [str(i) for i in range(60)],
    "HunyuanDiT": [str(i) for i in range(19)],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_xray_measures_every_entry(measured: dict[str, Any], family: str) -> None:
    assert measured[family]["xray"] <= 1e-4


@pytest.mark.parametrize("family", NAMES)
def test_the_xray_names_the_models_blocks(measured: dict[str, Any], family: str) -> None:
    found = measured[family]
    assert found["names"] == NAMES[family]
    assert found.get("influence", found["names"]) == found["names"]


@pytest.mark.parametrize("family", ["SD3.5", "T2I SDXL"])
def test_reuse_computes_a_part_of_the_rows(measured: dict[str, Any], family: str) -> None:
    found = measured[family]
    assert found["reuse calls"] == 20
    assert found["reuse rows"] == (1 if family.startswith("T2I") else 7)


@pytest.mark.parametrize("family", ["Qwen InstantX", "Chroma"])
def test_prompts_of_two_lengths_take_two_calls_but_half_the_rows(
    measured: dict[str, Any], family: str
) -> None:
    found = measured[family]
    assert (found["longer calls"], found["longer rows"]) == (2 * STEPS, STEPS)


@pytest.mark.parametrize("family", ["SD3.5", "T2I SD1.5 full"])
@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_a_picture_is_fitted_to_the_latents_as_by_hand(
    measured: dict[str, Any], family: str, fit: str
) -> None:
    assert measured[family][fit] <= ROUTED


@pytest.mark.parametrize("family", ["SD3.5", "T2I SDXL"])
def test_weights_that_stay_off_the_device_change_nothing(
    measured: dict[str, Any], family: str
) -> None:
    found = measured[family]
    assert found["low VRAM"] <= ROUTED
    assert found["loaded"] == 0


@pytest.mark.parametrize("family", ["SD3.5", "T2I SDXL"])
def test_calls_that_name_no_run_share_what_one_keeps(measured: dict[str, Any], family: str) -> None:
    found = measured[family]
    assert found["old options"] <= ROUTED
    assert found["encoded"] == (family == "SD3.5")


def test_a_compiled_model_gets_the_same(measured: dict[str, Any]) -> None:
    assert measured["SD3.5"]["graphs"] > 0
    assert measured["SD3.5"]["compiled"] <= ROUTED


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_controlled_is_refused(measured: dict[str, Any], case: str) -> None:
    assert REFUSALS[case] in measured[case]


@pytest.mark.parametrize("case", MISMATCHES)
def test_what_native_control_drops_raises(measured: dict[str, Any], case: str) -> None:
    assert MISMATCHES[case] in measured[case]
