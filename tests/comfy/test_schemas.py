"""What saved graphs and other people's scripts rely on: ids, input names, their order and defaults."""

import pytest
from host import Host

from locales import aliases

#: Node -> inputs in order with their defaults, None where a link or a file is needed; then the outputs' types.
NODES = {
    "LoadControlNet": (
        {"control_net_name": None, "base_model": None, "compile": False},
        ["CONTROL_NET"],
    ),
    "ApplyControlNet": (
        {
            "model": None,
            "control_net": None,
            "image": None,
            "strength": 1.0,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "routing": None,
            "scales": None,
            "mask": None,
            "hint_fit": "crop",
            "reuse_tolerance": 0.0,
            "control_type": "auto",
            "vae": None,
            "inpaint_mask": None,
            "frame_strengths": "",
        },
        ["MODEL"],
    ),
    "RouteControlNet": (
        {
            "control_net": None,
            "routing": None,
            "scales": None,
            "mask": None,
            "reuse_tolerance": 0.0,
            "control_type": "auto",
            "frame_strengths": "",
        },
        ["CONTROL_NET"],
    ),
    "RouteModelPatch": (
        {
            "model": None,
            "start_percent": 0.0,
            "end_percent": 1.0,
            "routing": None,
            "scales": None,
        },
        ["MODEL"],
    ),
    "CFGHintRouting": (
        {
            "mode": "cond_only",
            "cond_weight": 1.0,
            "uncond_weight": 0.5,
            "target_gain": 2.0,
            "time_curve": "",
        },
        ["CNET_ROUTING"],
    ),
    "BlockScaleSchedule": (
        {"profile": "soft", "base": 0.825, "custom_scales": "", "time_curve": ""},
        ["CNET_SCALES"],
    ),
    "LoadTinyStableDiffusion": ({}, ["MODEL", "CLIP", "VAE", "CONTROL_NET"]),
    "ControlXRay": (
        {"model": None, "samples": None, "leave_one_out": False, "suggest_scales": False},
        ["IMAGE", "STRING"],
    ),
    "IdentifyControlNet": ({"control_net_name": None}, ["STRING"]),
    "TrainControlNet": (
        {
            "model": None,
            "vae": None,
            "clip": None,
            "images": None,
            "hints": None,
            "captions": "",
            "steps": 500,
            "batch_size": 4,
            "learning_rate": 1e-4,
            "prompt_dropout": 0.5,
            "hint_init": "balanced",
            "seed": 0,
            "control_net": None,
        },
        ["CONTROL_NET", "IMAGE", "STRING"],
    ),
    "SaveControlNet": (
        {
            "control_net": None,
            "filename_prefix": "controlnet/trained",
            "layout": "ldm",
            "base_model": None,
        },
        [],
    ),
    "TinyTrainingSamples": (
        {"count": 64, "side": 64, "seed": 0},
        ["IMAGE", "IMAGE", "STRING"],
    ),
    "DrawTinyHint": (
        {
            "shape": "star",
            "radius": 0.37,
            "x": 0.5,
            "y": 0.53,
            "angle": 0.0,
            "side": 128,
            "draw_on": None,
        },
        ["IMAGE", "MASK"],
    ),
}


def inputs_of(comfy: Host, node: str) -> dict[str, list]:
    """Returns a node's inputs in order, as ComfyUI serves them."""
    served = comfy.get(f"/object_info/{node}")[node]["input"]
    return {**served.get("required", {}), **served.get("optional", {})}


@pytest.mark.parametrize("node", NODES)
def test_inputs_and_outputs_are_as_documented(comfy: Host, node: str) -> None:
    found = inputs_of(comfy, node)
    defaults = {name: value[1].get("default") for name, value in found.items()}
    assert list(defaults.items()) == list(NODES[node][0].items())
    info = comfy.get(f"/object_info/{node}")[node]
    assert info["output"] == NODES[node][1]
    assert info["category"] == f"{comfy.info['ControlNetApplyAdvanced']['category']}/cnet"


@pytest.mark.parametrize("node", NODES)
def test_every_input_and_node_is_explained(comfy: Host, node: str) -> None:
    for name, value in inputs_of(comfy, node).items():
        assert len(value[1].get("tooltip", "")) > 15, name
    info = comfy.get(f"/object_info/{node}")[node]
    assert info["description"]
    assert [len(tooltip) > 15 for tooltip in info["output_tooltips"]] == [True] * len(
        info["output"]
    )
    assert len(info["display_name"]) <= 40, "longer names do not fit a node"


@pytest.mark.parametrize("node", NODES)
def test_words_to_find_a_node_by_are_served_where_they_are_read(comfy: Host, node: str) -> None:
    if "search_aliases" not in comfy.info["ControlNetApplyAdvanced"]:
        pytest.skip("this ComfyUI serves no search_aliases")
    assert comfy.info[node]["search_aliases"] == aliases(node)


def test_inputs_that_nobody_needs_at_first_are_folded_away(comfy: Host) -> None:
    if "search_aliases" not in comfy.info["ControlNetApplyAdvanced"]:
        pytest.skip("this ComfyUI has no advanced inputs in schemas")
    folded = {
        n for n, value in inputs_of(comfy, "ApplyControlNet").items() if value[1].get("advanced")
    }
    assert folded == {"hint_fit", "reuse_tolerance", "control_type", "frame_strengths"}


@pytest.mark.parametrize("node", ["ApplyControlNet", "RouteControlNet", "SaveControlNet"])
def test_control_net_is_comfyuis_type(comfy: Host, node: str) -> None:
    assert inputs_of(comfy, node)["control_net"][0] == "CONTROL_NET"


@pytest.mark.parametrize(
    ("node", "name", "limits"),
    [
        ("ApplyControlNet", "strength", (0.0, 10.0, 0.01)),
        ("ApplyControlNet", "start_percent", (0.0, 1.0, 0.001)),
        ("ApplyControlNet", "end_percent", (0.0, 1.0, 0.001)),
        ("RouteModelPatch", "start_percent", (0.0, 1.0, 0.001)),
    ],
)
def test_numbers_have_comfyuis_own_limits(
    comfy: Host, node: str, name: str, limits: tuple[float, ...]
) -> None:
    served = inputs_of(comfy, node)[name][1]
    assert (served["min"], served["max"], served["step"]) == limits


def test_options_are_those_of_the_library(comfy: Host) -> None:
    def options(node: str, name: str) -> list[str]:
        kind, settings = inputs_of(comfy, node)[name]
        return settings["options"] if kind == "COMBO" else kind

    assert options("ApplyControlNet", "hint_fit") == ["crop", "stretch", "pad"]
    modes = ["both", "cond_only", "uncond_only", "weighted", "target_gain"]
    assert options("CFGHintRouting", "mode") == modes
    profiles = ["uniform", "soft", "logspace", "resolution", "resolution_raw", "webui", "custom"]
    assert options("BlockScaleSchedule", "profile") == profiles
