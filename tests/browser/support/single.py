"""Graphs of one node, with the values that make a telling picture of it."""

from collections.abc import Mapping
from typing import Any

from described import inputs_of, is_widget, settings_of

#: Node -> values other than its defaults.
SHOWN: dict[str, dict[str, Any]] = {
    "LoadControlNet": {"control_net_name": "control_v11p_sd15_canny_fp16.safetensors"},
    "ApplyControlNet": {"strength": 0.8, "end_percent": 0.75},
    "RouteControlNet": {},
    "RouteModelPatch": {},
    "CFGHintRouting": {"mode": "target_gain"},
    "BlockScaleSchedule": {
        "profile": "custom",
        "custom_scales": "0, 0, 0.1, 0.2, 0.3, 0.3, 0.55, 0.7, 0.8, 1, 1, 1, 0.9",
        "time_curve": "0:1, 0.4:1, 0.8:0.3",
    },
    "LoadTinyStableDiffusion": {},
    "DrawTinyHint": {"shape": "fox"},
    "IdentifyControlNet": {"control_net_name": "control_v11p_sd15_canny_fp16.safetensors"},
    "ControlXRay": {},
    "TrainControlNet": {"captions": "a red fox on a sky background"},
    "SaveControlNet": {},
    "TinyTrainingSamples": {},
}


def alone(kind: str, info: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a graph with one node of a kind, as the front end saves it; `info` describes all nodes."""
    served = inputs_of(info, kind)
    widgets = [name for name in served if is_widget(served[name])]
    sockets = [name for name in served if name not in widgets]
    outputs = zip(info[kind]["output_name"], info[kind]["output"], strict=True)
    node = {
        "id": 1,
        "type": kind,
        "pos": [100, 100],
        "size": [320, 60],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{"name": name, "type": served[name][0], "link": None} for name in sockets],
        "outputs": [{"name": name, "type": type_, "links": None} for name, type_ in outputs],
        "properties": {},
        "widgets_values": list(_values(served, widgets, values)),
    }
    return {
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [node],
        "links": [],
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _values(served: Mapping[str, Any], widgets: list[str], values: Mapping[str, Any]) -> Any:
    for name in widgets:
        yield values.get(name, settings_of(served[name]).get("default"))
        if settings_of(served[name]).get("control_after_generate"):
            yield "fixed"
