"""What a person sees who has no ControlNet file yet."""

import pytest
from front import EMPTY, Front
from host import Failed

ENTRY = "(no file in models/controlnet)"
ADD = "(kind) => { app.graph.add(LiteGraph.createNode(kind)); }"


def add(front: Front, kind: str) -> None:
    """Adds a new node to an empty graph, as the search box does."""
    front.load(EMPTY)
    front.page.evaluate(ADD, kind)


@pytest.mark.parametrize("kind", ["LoadControlNet", "IdentifyControlNet"])
def test_the_list_of_files_says_where_to_put_one(front: Front, kind: str) -> None:
    add(front, kind)
    assert front.values(kind)["control_net_name"] == ENTRY


def test_a_run_without_a_file_says_what_to_do(front: Front) -> None:
    add(front, "IdentifyControlNet")
    with pytest.raises(Failed, match="put a file into models/controlnet, press R"):
        front.host.run(front.prompt())
