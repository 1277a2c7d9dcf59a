"""Saved graphs can be read where they open: their size, titles, wires, models and pictures."""

import json
import re
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "example_workflows").glob("*.json"))
#: Graphs for other packs' nodes. They have no place in ComfyUI's template browser, so no title and no picture.
OF_PACKS = sorted((ROOT / "docs" / "examples").glob("*.json"))
#: Pixels at zoom 1, so that ComfyUI shows a whole sheet at 75 % or more in a window of 1440 x 900.
WIDTH, HEIGHT, NODES = 1440, 860, 12
TITLE = 30  # above a node
NARROWEST = 217  # Vue nodes are at least 225 wide; a group's margin takes the rest
ASIDE = 8  # so far may a wire bend behind a node's edge
NAMING_FILES = {"CheckpointLoaderSimple": "checkpoints", "LoadControlNet": "controlnet"}

EACH_GRAPH = pytest.mark.parametrize("path", [*FILES, *OF_PACKS], ids=lambda path: path.stem)


def opened(path: Path) -> dict[str, Any]:
    """Returns a saved workflow."""
    return json.loads(path.read_text(encoding="utf-8"))


def box(node: dict[str, Any]) -> tuple[float, float, float, float]:
    """Returns a node's left, top, right and lower edge, its title included."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - TITLE, x + width, y + height


@EACH_GRAPH
def test_it_has_the_size_of_a_screen(path: Path) -> None:
    graph = opened(path)
    edges = [group["bounding"] for group in graph["groups"]]
    assert max(x + w for x, _, w, _ in edges) - min(e[0] for e in edges) <= WIDTH
    assert max(y + h for _, y, _, h in edges) - min(e[1] for e in edges) <= HEIGHT
    assert len(graph["nodes"]) <= NODES


@EACH_GRAPH
def test_every_node_is_inside_one_group_and_behind_no_other(path: Path) -> None:
    graph = opened(path)
    boxes = [box(node) for node in graph["nodes"]]
    for left, top, right, low in boxes:
        assert right - left >= NARROWEST
        around = [
            1
            for x, y, w, h in (group["bounding"] for group in graph["groups"])
            if x <= left and right <= x + w and y <= top and low <= y + h
        ]
        assert len(around) == 1
    for a, b in combinations(boxes, 2):
        assert a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@EACH_GRAPH
def test_groups_have_titles_and_colours_and_nodes_of_one_kind_are_told_apart(path: Path) -> None:
    graph = opened(path)
    groups = graph["groups"]
    assert all(group["title"] for group in groups)
    assert len({group["color"] for group in groups}) == len(groups) >= 4
    shown = [(node["type"], node.get("title")) for node in graph["nodes"]]
    assert len(set(shown)) == len(shown)
    assert all(title for kind, title in shown if kind in ("CLIPTextEncode", "SaveImage"))


@EACH_GRAPH
def test_no_wire_runs_behind_a_node(path: Path) -> None:
    graph = opened(path)
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link in graph["links"]:
        for x, y in points_of(graph, nodes, link):
            for node in nodes.values():
                left, top, right, low = box(node)
                is_behind = left + ASIDE < x < right - ASIDE and top < y < low
                assert not is_behind, (link, node["title"] if "title" in node else node["type"])


@EACH_GRAPH
def test_the_note_has_two_or_three_sentences(path: Path) -> None:
    (note,) = [n for n in opened(path)["nodes"] if n["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert len(re.findall(r"[.!?](?:\s|$)", text)) in (2, 3)
    assert "`" not in text  # Vue nodes write code in blue on the note's brown


@EACH_GRAPH
def test_files_that_it_names_can_be_downloaded(path: Path) -> None:
    for node in opened(path)["nodes"]:
        if node["type"] in NAMING_FILES:
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["directory"] == NAMING_FILES[node["type"]]
            assert model["url"].startswith("https://huggingface.co/")
            assert model["url"].split("/")[-1].split("?")[0] == model["name"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_title_is_the_files_name_and_a_picture_stands_beside_it(path: Path) -> None:
    assert re.fullmatch(r"\d [A-Z][\w .-]+", path.stem)
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.width >= 300
    assert path.with_suffix(".jpg").stat().st_size < 150_000


def points_of(graph: dict[str, Any], nodes: dict[int, Any], link: list[Any]) -> list[Any]:
    """Returns points of a wire, as the front end draws it: splines from output over reroutes to input."""
    key, source, slot, target, entry, _ = link
    stops = [slot_place(nodes[source], slot, is_output=True)]
    stops += reroutes_of(graph, key)
    stops += [slot_place(nodes[target], entry, is_output=False)]
    return [point for start, end in pairwise(stops) for point in spline(start, end)]


def slot_place(node: dict[str, Any], slot: int, *, is_output: bool) -> tuple[float, float]:
    """Returns where a wire begins or ends; inputs with a widget are not linked in our examples."""
    x, y = node["pos"]
    return x + node["size"][0] * is_output, y + 20 * (slot + 0.7)


def reroutes_of(graph: dict[str, Any], link: int) -> list[tuple[float, float]]:
    """Returns the points that a wire passes, from its source on."""
    points = {point["id"]: point for point in graph["extra"].get("reroutes", [])}
    ends = {e["id"]: e["parentId"] for e in graph["extra"].get("linkExtensions", [])}
    passed, key = [], ends.get(link)
    while key is not None:
        passed.append(tuple(points[key]["pos"]))
        key = points[key].get("parentId")
    return passed[::-1]


def spline(start: Any, end: Any, steps: int = 40) -> list[tuple[float, float]]:
    """Returns points of the curve that leaves to the right and arrives from the left, a quarter of the way each."""
    (x0, y0), (x1, y1) = start, end
    bend = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5 / 4
    found = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c, d = (1 - t) ** 3, 3 * (1 - t) ** 2 * t, 3 * (1 - t) * t**2, t**3
        found.append(
            (a * x0 + b * (x0 + bend) + c * (x1 - bend) + d * x1, (a + b) * y0 + (c + d) * y1)
        )
    return found
