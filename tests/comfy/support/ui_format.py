"""Graphs in the form that ComfyUI's front end saves, made from API format and turned back into it."""

from collections.abc import Iterator, Mapping
from typing import Any

from described import Info, default_of, inputs_of, is_widget, settings_of
from layout import GAP, Box, lay_out

NOTE = "MarkdownNote"
NOTE_WIDTH, NOTE_HEIGHT = 320, 300


def to_ui(graph: Mapping[str, Any], info: Info, note: str) -> dict[str, Any]:
    """Returns a graph in the front end's form, laid out in groups, with a note beside them."""
    places, groups = lay_out(graph, info)
    links: list[list[Any]] = []
    nodes = [_node(key, graph, info, places[key], links) for key in graph]
    for node in nodes:
        for slot, output in enumerate(node["outputs"]):
            mine = [link[0] for link in links if link[1:3] == [node["id"], slot]]
            output["links"] = mine or None
    last = max(node["id"] for node in nodes)
    return {
        "last_node_id": last + 1,
        "last_link_id": len(links),
        "nodes": [*nodes, _note(last + 1, note)],
        "links": links,
        "groups": [_group(title, box) for title, box in groups.items()],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def to_api(workflow: Mapping[str, Any], info: Info) -> dict[str, Any]:
    """Returns a saved graph in API format, as the front end queues it."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    return {
        str(node["id"]): {
            "class_type": node["type"],
            "inputs": {
                **dict(_values(node, info)),
                **{
                    entry["name"]: sources[entry["link"]]
                    for entry in node["inputs"]
                    if entry["link"] is not None
                },
            },
        }
        for node in workflow["nodes"]
        if node["type"] != NOTE
    }


def _values(node: Mapping[str, Any], info: Info) -> Iterator[tuple[str, Any]]:
    """Gives a node's widget values by name; inputs appended since it was saved have their defaults."""
    values = iter(node["widgets_values"])
    for name, served in inputs_of(info, node["type"]).items():
        if is_widget(served):
            yield name, next(values, default_of(served))
            if settings_of(served).get("control_after_generate"):
                next(values, None)


def _node(
    key: str, graph: Mapping[str, Any], info: Info, place: Box, links: list[list[Any]]
) -> dict[str, Any]:
    kind, given = graph[key]["class_type"], graph[key]["inputs"]
    sockets, values = [], []
    for name, served in inputs_of(info, kind).items():
        link, linked = None, isinstance(given.get(name), list)
        if is_widget(served):
            values.append(default_of(served) if linked else given.get(name, default_of(served)))
            values += ["fixed"] if settings_of(served).get("control_after_generate") else []
            if not linked:
                continue
        if linked:
            link = len(links) + 1
            source, slot = given[name]
            sent = info[graph[source]["class_type"]]["output"][slot]
            links.append([link, int(source), slot, int(key), len(sockets), sent])
        socket = {"name": name, "type": served[0], "link": link}
        sockets.append({**socket, "widget": {"name": name}} if is_widget(served) else socket)
    names = zip(info[kind]["output_name"], info[kind]["output"], strict=True)
    return {
        "id": int(key),
        "type": kind,
        "pos": [place.x, place.y],
        "size": [place.width, place.height],
        "flags": {},
        "order": int(key) - 1,
        "mode": 0,
        "inputs": sockets,
        "outputs": [{"name": name, "type": kind_, "links": None} for name, kind_ in names],
        "properties": {"Node name for S&R": kind},
        "widgets_values": values,
    }


def _group(title: str, box: Box) -> dict[str, Any]:
    bounding = [box.x, box.y, box.width, box.height]
    return {"title": title, "bounding": bounding, "color": "#3f789e", "font_size": 24, "flags": {}}


def _note(key: int, text: str) -> dict[str, Any]:
    return {
        "id": key,
        "type": NOTE,
        "pos": [-NOTE_WIDTH - GAP, 40],
        "size": [NOTE_WIDTH, NOTE_HEIGHT],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
    }
