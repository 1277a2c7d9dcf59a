"""Graphs of docs/examples that need another pack: wired as their page says."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "docs" / "examples"


def test_the_tiled_upscale_has_its_control_on_both_prompts_and_none_on_the_model() -> None:
    graph = json.loads((FOLDER / "ultimate_sd_upscale.json").read_text(encoding="utf-8"))
    assert source(graph, "UltimateSDUpscaleNoUpscale", "model") == "LoadTinyStableDiffusion"
    for side in ("positive", "negative"):
        assert source(graph, "UltimateSDUpscaleNoUpscale", side) == "ControlNetApplyAdvanced"
    assert source(graph, "ControlNetApplyAdvanced", "control_net") == "RouteControlNet"
    assert source(graph, "RouteControlNet", "routing") == "CFGHintRouting"


def source(graph: dict[str, Any], kind: str, name: str) -> str:
    """Returns the kind of the node that an input of the one node of a kind comes from."""
    kinds = {node["id"]: node["type"] for node in graph["nodes"]}
    (node,) = [node for node in graph["nodes"] if node["type"] == kind]
    (link,) = [entry["link"] for entry in node["inputs"] if entry["name"] == name]
    return next(kinds[one[1]] for one in graph["links"] if one[0] == link)
