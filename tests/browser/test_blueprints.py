"""A blueprint is found among the nodes, and adds its subgraph."""

from front import Front
from search_box import offered, search

NAME = "ControlNet Depth (SD1.5, SDXL)"
INPUTS = {"model", "control_net", "depth_map", "strength", "end_percent"}


def test_a_blueprint_is_found_and_adds_its_subgraph(front: Front) -> None:
    search(front, "ControlNet Depth")
    assert NAME in offered(front, NAME)
    front.press("Enter")
    front.page.wait_for_timeout(1500)
    front.page.mouse.click(
        900, 700
    )  # newer front ends let the node hang on the pointer until it is put down
    graph = front.saved()
    (node,) = graph["nodes"]
    (inside,) = graph["definitions"]["subgraphs"]
    assert node["type"] == inside["id"]
    assert {entry["name"] for entry in node["inputs"]} == INPUTS
    assert [each["type"] for each in inside["nodes"]] == ["ApplyControlNet"]
