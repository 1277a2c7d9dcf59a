"""Where the nodes of a sheet stand, and the lanes on which wires pass the columns between."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from described import Info, inputs_of, is_widget, settings_of
from sheet import NOTE, Column, Sheet

from subgraphs import SUBGRAPHS

#: Between columns; between nodes, for wires; a node's title; a group's title; a group's margin.
GUTTER, GAP, TITLE, HEADER, MARGIN = 42, 30, 30, 32, 8
#: Height of a socket and of a widget on the classic canvas; of a widget and of the frame in Vue nodes.
SOCKET, WIDGET, VUE_WIDGET, VUE_FRAME = 20, 24, 28, 40
VUE_MORE = 28  # what Vue nodes with a picture, a text or a view have more
LANE = 4  # between wires in one gap
ASIDE = 6  # from a column's edge to where its lanes begin
MOST, FULL = 6, 1000  # wires in one gap; how far others go around it


@dataclass(frozen=True)
class Box:
    """A place and a size in pixels."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True)
class Lane:
    """Where the wires of one output pass a column, or turn back in it: from one edge to the other, at one height."""

    targets: frozenset[str]  # the nodes that the wires go to
    start: int
    end: int
    y: int

    @property
    def turns_back(self) -> bool:
        """Whether the wires go to a node below their source."""
        return self.start > self.end


def place_nodes(sheet: Sheet, info: Info) -> dict[str, Box]:
    """Returns the box of each node by its key; the first column begins at 0."""
    boxes: dict[str, Box] = {}
    x = 0
    for column in sheet.columns:
        y = HEADER + TITLE
        for key in column.keys:
            room = room_of(sheet, info, key)
            boxes[key] = Box(x, y, column.width, height_of(sheet, info, key))
            y += room + GAP + TITLE
        x += column.width + GUTTER
    return boxes


def place_groups(sheet: Sheet, boxes: Mapping[str, Box], info: Info) -> list[tuple[Column, Box]]:
    """Returns each column with the box around it; all are as high as the highest."""
    low = max(
        boxes[key].y + room_of(sheet, info, key) for column in sheet.columns for key in column.keys
    )
    return [
        (c, Box(boxes[c.keys[0]].x - MARGIN, 0, c.width + 2 * MARGIN, low + MARGIN))
        for c in sheet.columns
    ]


def height_of(sheet: Sheet, info: Info, key: str) -> int:
    """Returns how high a node is on the classic canvas."""
    if key == NOTE:
        return sheet.heights[NOTE]
    sockets, widgets = _rows(info, sheet.graph.nodes[key]["class_type"])
    return SOCKET * sockets + WIDGET * widgets + sheet.heights.get(key, 0) + 10


def room_of(sheet: Sheet, info: Info, key: str) -> int:
    """Returns how high a node may be, as a Vue node too: with a picture or a text they are only slightly higher."""
    if key in sheet.heights:
        return height_of(sheet, info, key) + VUE_MORE
    sockets, widgets = _rows(info, sheet.graph.nodes[key]["class_type"])
    return SOCKET * sockets + VUE_WIDGET * widgets + VUE_FRAME


def find_lanes(
    sheet: Sheet, boxes: Mapping[str, Box], info: Info
) -> dict[tuple[str, int], list[Lane]]:
    """Returns the lanes of each output, (node, slot): past columns from left to right, then back in its own."""
    lanes: dict[tuple[str, int], list[Lane]] = {}
    taken: dict[tuple[int, int], int] = {}
    for (source, slot), targets in sorted(_targets(sheet).items()):
        y = boxes[source].y + SOCKET * slot
        for column, crossing, turns_back in _list_crossings(sheet, source, targets):
            end = boxes[crossing[0]].y
            costs = {
                gap: abs(gap - y) + abs(gap - end) + FULL * (taken.get((column, gap), 0) >= MOST)
                for gap in _gaps(sheet, boxes, column, info)
            }
            gap = min(costs, key=lambda each: costs[each])
            y = gap + LANE * taken.get((column, gap), 0)
            taken[column, gap] = taken.get((column, gap), 0) + 1
            left = boxes[sheet.columns[column].keys[0]].x - ASIDE
            right = left + sheet.columns[column].width + 2 * ASIDE
            start, stop = (right, left) if turns_back else (left, right)
            lanes.setdefault((source, slot), []).append(Lane(frozenset(crossing), start, stop, y))
    return lanes


def _list_crossings(
    sheet: Sheet, source: str, targets: list[str]
) -> Iterator[tuple[int, list[str], bool]]:
    """Gives the columns that an output's wires cross, the nodes that they go to, and whether they turn back."""
    where = {key: i for i, column in enumerate(sheet.columns) for key in column.keys}
    for column in range(where[source] + 1, max(where[key] for key in targets)):
        yield column, [key for key in targets if where[key] > column], False
    own = [key for key in targets if where[key] == where[source]]
    if own:
        yield where[source], own, True


def _targets(sheet: Sheet) -> dict[tuple[str, int], list[str]]:
    """Returns the nodes that each output is connected to."""
    found: dict[tuple[str, int], list[str]] = {}
    for key, node in sheet.graph.nodes.items():
        for value in node["inputs"].values():
            if isinstance(value, list):
                found.setdefault((value[0], value[1]), []).append(key)
    return found


def _gaps(sheet: Sheet, boxes: Mapping[str, Box], column: int, info: Info) -> list[int]:
    """Returns where wires can pass a column: below each of its nodes, as high as Vue nodes are."""
    keys = sheet.columns[column].keys
    return [boxes[k].y + room_of(sheet, info, k) + ASIDE + 3 for k in keys]


def _rows(info: Info, kind: str) -> tuple[int, int]:
    if kind in SUBGRAPHS:
        subgraph = SUBGRAPHS[kind]
        widgets = sum(type_ in ("INT", "FLOAT") for type_ in subgraph.inputs.values())
        return max(len(subgraph.inputs) - widgets, len(subgraph.outputs)), widgets
    inputs = inputs_of(info, kind).values()
    widgets = sum(map(is_widget, inputs))
    after = sum(bool(settings_of(served).get("control_after_generate")) for served in inputs)
    return max(len(inputs) - widgets, len(info[kind]["output"])), widgets + after
