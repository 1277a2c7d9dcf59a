"""The blueprints: subgraphs that ComfyUI offers among its nodes; docs/blueprints.md says where numbers are from."""

from collections.abc import Callable
from typing import Any

from described import Info
from ui_format import define

from subgraphs import Inside, Subgraph


def canny() -> Subgraph:
    """Canny's lines of a picture."""
    inside = _inside(image="IMAGE")
    lines = inside.graph.add("Canny", image=inside["image"], low_threshold=0.3, high_threshold=0.7)
    return _controlled(inside, "ControlNet Canny (SD1.5, SDXL)", lines, 1.0, 0.5)


def depth() -> Subgraph:
    """A depth map that is ready."""
    inside = _inside(depth_map="IMAGE")
    name = "ControlNet Depth (SD1.5, SDXL)"
    return _controlled(inside, name, inside["depth_map"], 0.5, 1.0)


def pose() -> Subgraph:
    """A drawn pose that is ready."""
    inside = _inside(pose="IMAGE")
    return _controlled(inside, "ControlNet Pose (SD1.5, SDXL)", inside["pose"], 1.0, 1.0)


def _inside(**hint: str) -> Inside:
    return Inside(
        model="MODEL",
        control_net="CONTROL_NET",
        **hint,
        strength="FLOAT",
        end_percent="FLOAT",
    )


def _controlled(inside: Inside, name: str, hint: Any, strength: float, end: float) -> Subgraph:
    linked = {key: inside[key] for key in ("model", "control_net", "strength", "end_percent")}
    model = inside.graph.add("ApplyControlNet", image=hint, start_percent=0.0, **linked)
    values = {"strength": strength, "end_percent": end}
    return inside.close(name, values, model=("MODEL", model))


def saved(subgraph: Subgraph, info: Info) -> dict[str, Any]:
    """Returns a blueprint's file: one node that stands for the subgraph, and its definition."""
    values = subgraph.values
    sockets = [
        {"name": name, "type": type_, "link": None}
        | ({"widget": {"name": name}} if name in values else {})
        for name, type_ in subgraph.inputs.items()
    ]
    definition = define(subgraph, info)
    host = {
        "id": 1,
        "type": subgraph.id,
        "title": subgraph.name,
        "pos": [0, 0],
        "size": [260, 160],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": sockets,
        "outputs": [
            {"name": name, "type": type_, "links": None}
            for name, (type_, _) in subgraph.outputs.items()
        ],
        "properties": {},
        "widgets_values": list(values.values()),
    }
    return {
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [host],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [definition]},
        "config": {},
        "extra": {},
        "version": 0.4,
    }


#: What makes each blueprint.
BLUEPRINTS: tuple[Callable[[], Subgraph], ...] = (canny, depth, pose)
