"""Where the nodes of an example stand: in groups that are read from left to right."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from described import Info, inputs_of, is_widget, settings_of

WIDTH, GAP = 280, 60
TITLE = 70  # above the nodes of a group: its own title and theirs
MARGIN = 20
#: Height of a socket and of a widget on the classic canvas; room for either in Vue nodes, which are higher.
SOCKET, WIDGET, VUE_ROW = 20, 24, 30
#: What a node needs beside its rows: text fields, pictures, the views of our front end.
EXTRA = {
    "CLIPTextEncode": 90,
    "BlockScaleSchedule": 370,
    "CFGHintRouting": 170,
    "SaveImage": 240,
    "PreviewImage": 240,
    "PreviewAny": 440,
    "TrainControlNet": 190,
}
#: Nodes that show more than others; what stands above and below them is as wide.
WIDTHS = {"PreviewAny": 620}
OFTEN = 3
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
        "ImageFromBatch",
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
    room: int = 0  # what is kept free for it, at least its height


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
    stacks = [[key for key in keys if depths[key] == d] for d in sorted(set(depths.values()))]
    return [part for stack in stacks for part in _parts(graph, stack)]


def _parts(graph: Mapping[str, Any], stack: list[str]) -> list[list[str]]:
    """Returns a column, or several where a kind comes so often that it has its own, to stand in rows with the next."""
    kinds = [graph[key]["class_type"] for key in stack]
    often = {kind for kind in kinds if kinds.count(kind) >= OFTEN}
    mixed = [key for key, kind in zip(stack, kinds, strict=True) if kind not in often]
    own = [[key for key in stack if graph[key]["class_type"] == kind] for kind in sorted(often)]
    return [part for part in (mixed, *own) if part]


def _place(
    graph: Mapping[str, Any], info: Info, stacks: list[list[str]], x: int, y: int
) -> dict[str, Box]:
    """Returns the boxes of a group's nodes; columns of equal length stand in rows."""
    placed: dict[str, Box] = {}
    left = x + MARGIN
    for stack in stacks:
        alike = [other for other in stacks if len(other) == len(stack)]
        width = max(WIDTHS.get(graph[key]["class_type"], WIDTH) for key in stack)
        top = y + TITLE
        for row, key in enumerate(stack):
            kinds = [graph[other[row]]["class_type"] for other in alike]
            room = max(_height(info, kind, VUE_ROW, VUE_ROW) for kind in kinds)
            height = _height(info, graph[key]["class_type"], SOCKET, WIDGET)
            placed[key] = Box(left, top, width, height, room)
            top += room + GAP
        left += width + GAP
    return placed


def _around(boxes: Iterable[Box], x: int, y: int) -> Box:
    boxes = list(boxes)
    right = max(box.x + box.width for box in boxes)
    low = max(box.y + box.room for box in boxes)
    return Box(x, y, right - x + MARGIN, low - y + MARGIN)


def _height(info: Info, kind: str, socket: int, widget: int) -> int:
    inputs = inputs_of(info, kind).values()
    widgets = sum(map(is_widget, inputs))
    widgets += sum("control_after_generate" in settings_of(served) for served in inputs)
    sockets = max(len(inputs) - sum(map(is_widget, inputs)), len(info[kind]["output"]))
    return socket * sockets + widget * widgets + EXTRA.get(kind, 0) + WIDGET
