"""Graphs in the form that ComfyUI's front end saves, made from a sheet and turned into API format."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from described import Info, default_of, inputs_of, is_widget, settings_of
from layout import Box, Lane, find_lanes, place_groups, place_nodes
from sheet import NOTE, Sheet

from subgraphs import INPUTS, OUTPUTS, SUBGRAPHS, Subgraph

NOTE_TYPE = "MarkdownNote"
#: Darker than the usual note: Vue nodes write grey on it.
NOTE_COLOURS = {"color": "#432", "bgcolor": "#2e2417"}
#: A subgraph's nodes stand in a row.
INNER = Box(0, 0, 260, 200)
STEP = 320


def to_ui(sheet: Sheet, info: Info) -> dict[str, Any]:
    """Returns a sheet in the front end's form."""
    nodes, boxes = sheet.graph.nodes, place_nodes(sheet, info)
    saved, links = _connected(nodes, info, boxes)
    for key, node in zip(nodes, saved, strict=True):
        node |= {"title": sheet.titles[key]} if key in sheet.titles else {}
        node["properties"] |= sheet.properties.get(key, {})
    last = len(saved) + 1
    used = [each for each in SUBGRAPHS.values() if any(n["type"] == each.id for n in saved)]
    return {
        "last_node_id": last,
        "last_link_id": len(links),
        "nodes": [*saved, _note(last, sheet.note, boxes[NOTE])],
        "links": links,
        "groups": [
            _group(column.title, column.colour, box)
            for column, box in place_groups(sheet, boxes, info)
        ],
        **({"definitions": {"subgraphs": [define(each, info) for each in used]}} if used else {}),
        "config": {},
        "extra": _reroutes(links, find_lanes(sheet, boxes, info)),
        "version": 0.4,
    }


def define(subgraph: Subgraph, info: Info) -> dict[str, Any]:
    """Returns a subgraph's definition as the front end saves it."""
    boxes = {
        key: Box(STEP * i, 0, INNER.width, INNER.height) for i, key in enumerate(subgraph.nodes)
    }
    types = list(subgraph.inputs.values())
    nodes, links = _connected(subgraph.nodes, info, boxes, subgraph)
    for slot, (type_, (key, output)) in enumerate(subgraph.outputs.values()):
        links.append([len(links) + 1, int(key), output, OUTPUTS, slot, type_])
        node = nodes[int(key) - 1]["outputs"][output]
        node["links"] = [*(node["links"] or []), len(links)]
    return {
        "id": subgraph.id,
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": len(nodes),
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": subgraph.name,
        "inputNode": {"id": INPUTS, "bounding": [-220, 0, 130, 40 + 20 * len(types)]},
        "outputNode": {"id": OUTPUTS, "bounding": [STEP * len(nodes), 0, 130, 80]},
        "inputs": [
            _port(subgraph, name, type_, [li[0] for li in links if li[1:3] == [INPUTS, i]])
            for i, (name, type_) in enumerate(subgraph.inputs.items())
        ],
        "outputs": [
            _port(subgraph, name, type_, [li[0] for li in links if li[3:5] == [OUTPUTS, i]])
            for i, (name, (type_, _)) in enumerate(subgraph.outputs.items())
        ],
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": [
            dict(
                zip(
                    ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type"),
                    link,
                    strict=True,
                )
            )
            for link in links
        ],
        "extra": {},
    }


def to_api(workflow: Mapping[str, Any], info: Info) -> dict[str, Any]:
    """Returns a saved graph in API format, as the front end queues it."""
    defined = {each["id"]: each for each in workflow.get("definitions", {}).get("subgraphs", [])}
    links = {link[0]: link[1:5] for link in workflow["links"]}
    hosts = {str(n["id"]): n for n in workflow["nodes"] if n["type"] in defined}
    found: dict[str, Any] = {}
    for node in workflow["nodes"]:
        if node["type"] != NOTE_TYPE and node["type"] not in defined:
            found[str(node["id"])] = _queued(node, info, links)
    for key, host in hosts.items():
        found |= dict(_inner(key, host, defined[host["type"]], info, links))
    for node in found.values():
        for name, value in node["inputs"].items():
            if isinstance(value, list) and value[0] in hosts:
                node["inputs"][name] = _out_of(value, hosts, defined)
    return found


def _inner(
    key: str, host: Mapping[str, Any], subgraph: Mapping[str, Any], info: Info, outer: Any
) -> Iterator[tuple[str, Any]]:
    """Gives a subgraph's nodes; what comes from outside is a link there, or a value of the host's widgets."""
    values = iter(host["widgets_values"])
    given = [
        [str(outer[port["link"]][0]), outer[port["link"]][1]]
        if port["link"] is not None
        else next(values)
        for port in host["inputs"]
    ]
    links = {
        link["id"]: [link[k] for k in ("origin_id", "origin_slot", "target_id", "target_slot")]
        for link in subgraph["links"]
    }
    for node in subgraph["nodes"]:
        queued = _queued(node, info, links)
        for name, value in queued["inputs"].items():
            if isinstance(value, list):
                source, slot = value
                is_given = source == str(INPUTS)
                queued["inputs"][name] = given[slot] if is_given else [f"{key}:{source}", slot]
        yield f"{key}:{node['id']}", queued


def _out_of(link: Any, hosts: Mapping[str, Any], defined: Mapping[str, Any]) -> list[Any]:
    inside = defined[hosts[link[0]]["type"]]["links"]
    (found,) = (li for li in inside if (li["target_id"], li["target_slot"]) == (OUTPUTS, link[1]))
    return [f"{link[0]}:{found['origin_id']}", found["origin_slot"]]


def _queued(node: Mapping[str, Any], info: Info, links: Mapping[int, Any]) -> dict[str, Any]:
    linked = {
        entry["name"]: [str(links[entry["link"]][0]), links[entry["link"]][1]]
        for entry in node["inputs"]
        if entry["link"] is not None
    }
    return {"class_type": node["type"], "inputs": {**dict(_values(node, info)), **linked}}


def _values(node: Mapping[str, Any], info: Info) -> Iterator[tuple[str, Any]]:
    """Gives a node's widget values by name; inputs appended since it was saved have their defaults."""
    values = iter(node["widgets_values"])
    for name, served in inputs_of(info, node["type"]).items():
        if is_widget(served):
            yield name, next(values, default_of(served))
            if settings_of(served).get("control_after_generate"):
                next(values, None)


def _connected(
    nodes: Mapping[str, Any], info: Info, boxes: Mapping[str, Box], around: Subgraph | None = None
) -> tuple[list[dict[str, Any]], list[list[Any]]]:
    """Returns saved nodes and their links; `around` is the subgraph that they are in."""
    links: list[list[Any]] = []

    def type_of(source: str, slot: int) -> str:
        if around and source == str(INPUTS):
            return list(around.inputs.values())[slot]
        kind = nodes[source]["class_type"]
        if kind in SUBGRAPHS:
            return list(SUBGRAPHS[kind].outputs.values())[slot][0]
        return info[kind]["output"][slot]

    saved = []
    for key, node in nodes.items():
        sockets, values = [], []
        for entry in _entries(node, info):
            link = None
            if isinstance(entry.value, list):
                source, slot = entry.value
                link = len(links) + 1
                sent = type_of(source, slot)
                links.append([link, int(source), slot, int(key), len(sockets), sent])
            if entry.shows_value:
                values += [_shown(entry, around)] if entry.keeps_value else []
                values += ["fixed"] if entry.changes_after_runs else []
            if link or entry.is_socket:
                socket: dict[str, Any] = {"name": entry.name, "type": entry.type, "link": link}
                widget = {"widget": {"name": entry.name}} if entry.shows_value else {}
                sockets.append(socket | widget)
        saved.append(_node(key, node["class_type"], info, boxes[key], sockets, values))
    for node in saved:
        for slot, output in enumerate(node["outputs"]):
            output["links"] = [li[0] for li in links if li[1:3] == [node["id"], slot]] or None
    return saved, links


def _shown(entry: "Entry", around: Subgraph | None) -> Any:
    """Returns what a widget shows; older front ends take it over for a subgraph's own widget."""
    if not isinstance(entry.value, list):
        return entry.value
    source, slot = entry.value
    if around and source == str(INPUTS):
        return around.values.get(list(around.inputs)[slot], entry.default)
    return entry.default


@dataclass(frozen=True)
class Entry:
    """An input of a node as it is saved."""

    name: str
    type: str
    value: Any  # or a link
    default: Any
    shows_value: bool  # it has a widget
    keeps_value: bool  # which is saved
    is_socket: bool  # also without a link
    changes_after_runs: bool


def _entries(node: Mapping[str, Any], info: Info) -> Iterator[Entry]:
    kind, given = node["class_type"], node["inputs"]
    if kind in SUBGRAPHS:
        for name, type_ in SUBGRAPHS[kind].inputs.items():
            value, shown = given.get(name), type_ in ("INT", "FLOAT")
            yield Entry(
                name, type_, value, None, shown, shown and not isinstance(value, list), True, False
            )
        return
    for name, served in inputs_of(info, kind).items():
        shown = is_widget(served)
        default = default_of(served) if shown else None
        type_ = "COMBO" if isinstance(served[0], list) else served[0]
        after = bool(settings_of(served).get("control_after_generate"))
        yield Entry(name, type_, given.get(name, default), default, shown, shown, not shown, after)


def _node(
    key: str, kind: str, info: Info, place: Box, sockets: list[Any], values: list[Any]
) -> dict[str, Any]:
    if kind in SUBGRAPHS:
        outputs = [(name, type_) for name, (type_, _) in SUBGRAPHS[kind].outputs.items()]
    else:
        outputs = list(zip(info[kind]["output_name"], info[kind]["output"], strict=True))
    return {
        "id": int(key),
        "type": kind,
        "pos": [place.x, place.y],
        "size": [place.width, place.height],
        "flags": {},
        "order": int(key) - 1,
        "mode": 0,
        "inputs": sockets,
        "outputs": [{"name": name, "type": type_, "links": None} for name, type_ in outputs],
        "properties": {} if kind in SUBGRAPHS else {"Node name for S&R": kind},
        "widgets_values": values,
    }


def _port(subgraph: Subgraph, name: str, type_: str, links: list[int]) -> dict[str, Any]:
    key = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{subgraph.id}/{name}"))
    return {"id": key, "name": name, "type": type_, "linkIds": links, "pos": [0, 0]}


def _reroutes(
    links: list[list[Any]], lanes: Mapping[tuple[str, int], Sequence[Lane]]
) -> dict[str, Any]:
    """Returns the points that keep wires out from behind nodes, and the last one of each wire."""
    points: list[dict[str, Any]] = []
    last: dict[int, int] = {}
    for (source, slot), passed in lanes.items():
        mine = [link for link in links if link[1:3] == [int(source), slot]]
        for number, lane in enumerate(passed):
            crossing = [link[0] for link in mine if str(link[3]) in lane.targets]
            for x in (lane.start, lane.end):
                is_first = x == lane.start and (number == 0 or lane.turns_back)
                before = {} if is_first else {"parentId": len(points)}
                point = {"id": len(points) + 1, **before, "pos": [x, lane.y], "linkIds": crossing}
                points.append(point)
            last |= dict.fromkeys(crossing, len(points))
    if not points:
        return {}
    ends = [{"id": link, "parentId": point} for link, point in sorted(last.items())]
    return {"linkExtensions": ends, "reroutes": points}


def _group(title: str, colour: str, box: Box) -> dict[str, Any]:
    bounding = [box.x, box.y, box.width, box.height]
    return {"title": title, "bounding": bounding, "color": colour, "font_size": 22, "flags": {}}


def _note(key: int, text: str, place: Box) -> dict[str, Any]:
    return {
        "id": key,
        "type": NOTE_TYPE,
        "title": "What you see",
        "pos": [place.x, place.y],
        "size": [place.width, place.height],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
        **NOTE_COLOURS,
    }
