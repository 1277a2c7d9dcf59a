"""Where the nodes of an example stand: in groups that are read from left to right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from described import Info, inputs_of

WIDTH, ROW, GAP = 280, 30, 60
TITLE = 70  # above the nodes of a group: its own title and theirs
MARGIN = 20
#: What a node needs beside one row for each input or output: text fields, pictures, the views of our front end.
EXTRA = {
    "CLIPTextEncode": 100,
    "BlockScaleSchedule": 370,
    "CFGHintRouting": 180,
    "SaveImage": 240,
    "PreviewImage": 240,
    "PreviewAny": 240,
    "TrainControlNet": 100,
}
#: Title -> the nodes that belong to it; the last takes the rest. The first two share the left side.
GROUPS: dict[str, tuple[str, ...]] = {
    "1. Model and prompts": (
        "LoadTinyStableDiffusion",
        "CheckpointLoaderSimple",
        "LoadControlNet",
        "CLIPTextEncode",
        "EmptyLatentImage",
    ),
    "2. The picture to follow": (
        "SolidMask",
        "MaskComposite",
        "MaskToImage",
        "LoadImage",
        "Canny",
        "TinyTrainingSamples",
    ),
    "3. Control": ("CFGHintRouting", "BlockScaleSchedule", "TrainControlNet", "ApplyControlNet"),
    "4. What comes out": (),
}


@dataclass(frozen=True)
class Box:
    """A place and a size in pixels."""

    x: int
    y: int
    width: int
    height: int


def lay_out(graph: Mapping[str, Any], info: Info) -> tuple[dict[str, Box], dict[str, Box]]:
    """Returns the box of each node by its key, and that of each group by its title."""
    columns = {title: _columns(graph, keys) for title, keys in _members(graph).items() if keys}
    nodes: dict[str, Box] = {}
    groups: dict[str, Box] = {}
    x = y = 0
    for title, stacks in columns.items():
        if title not in list(GROUPS)[:2] and y:
            x, y = max(box.x + box.width for box in groups.values()) + GAP, 0
        placed = _place(graph, info, stacks, x, y)
        nodes |= placed
        groups[title] = _around(placed.values(), x, y)
        y = groups[title].y + groups[title].height + GAP
    return nodes, groups


def _members(graph: Mapping[str, Any]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {title: [] for title in GROUPS}
    for key, node in graph.items():
        title = next((t for t, kinds in GROUPS.items() if node["class_type"] in kinds), None)
        members[title or list(GROUPS)[-1]].append(key)
    return members


def _columns(graph: Mapping[str, Any], keys: list[str]) -> list[list[str]]:
    """Returns the nodes of a group by their depth in it."""
    depths: dict[str, int] = {}
    for key in keys:  # nodes are added behind what they link to
        links = [v[0] for v in graph[key]["inputs"].values() if isinstance(v, list)]
        depths[key] = max((depths[link] + 1 for link in links if link in depths), default=0)
    return [[key for key in keys if depths[key] == d] for d in sorted(set(depths.values()))]


def _place(
    graph: Mapping[str, Any], info: Info, stacks: list[list[str]], x: int, y: int
) -> dict[str, Box]:
    """Returns the boxes of a group's nodes; columns of equal length stand in rows."""
    heights = {key: _height(info, graph[key]["class_type"]) for stack in stacks for key in stack}
    placed = {}
    for depth, stack in enumerate(stacks):
        alike = [other for other in stacks if len(other) == len(stack)]
        top = y + TITLE
        for row, key in enumerate(stack):
            left = x + MARGIN + depth * (WIDTH + GAP)
            placed[key] = Box(left, top, WIDTH, heights[key])
            top += max(heights[other[row]] for other in alike) + GAP
    return placed


def _around(boxes: Iterable[Box], x: int, y: int) -> Box:
    boxes = list(boxes)
    right = max(box.x + box.width for box in boxes)
    low = max(box.y + box.height for box in boxes)
    return Box(x, y, right - x + MARGIN, low - y + MARGIN)


def _height(info: Info, kind: str) -> int:
    rows = max(len(inputs_of(info, kind)), len(info[kind]["output"])) + 1
    return ROW * rows + EXTRA.get(kind, 0)
