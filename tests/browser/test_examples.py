"""The example workflows, from ComfyUI's templates to the picture."""

import pytest
from front import Front, example, templates
from ui_format import to_api

#: Nodes that name files which are not there; newer front ends mark them.
FILES = {"CheckpointLoaderSimple", "LoadControlNet", "LoadImage"}
NAMING_FILES = {"7 Stable Diffusion 1.5": FILES, "8 SDXL": FILES}
WRONG = "app.graph._nodes.filter((n) => n.has_errors).map((n) => n.comfyClass)"
XRAY = 1128  # pixels wide
NAMES = templates()
PICTURES = """() => {
    const nodes = app.graph._nodes.filter((n) => n.comfyClass === 'SaveImage');
    const shown = nodes.flatMap((n) => [...document.querySelectorAll(`[data-node-id="${n.id}"] img`)]);
    return [...nodes.flatMap((n) => n.imgs ?? []), ...shown].map((image) => image.naturalWidth);
}"""


def test_comfyui_offers_the_examples(front: Front) -> None:
    assert sorted(front.host.get("/workflow_templates")["cnet"]) == NAMES


def assert_node_fits(wanted: dict, key: str, found: dict, other: str) -> None:
    """Asserts that a node, and all that leads to it, is in a prompt under another key."""
    assert found[other]["class_type"] == wanted[key]["class_type"]
    for name, value in wanted[key]["inputs"].items():
        seen = found[other]["inputs"][name]
        if isinstance(value, list):
            assert seen[1] == value[1]
            assert_node_fits(wanted, value[0], found, seen[0])
        else:
            assert seen == value


@pytest.mark.parametrize("name", NAMES)
def test_an_example_opens_whole(front: Front, name: str) -> None:
    front.open_template(name)
    graph = front.saved()
    assert len(graph["groups"]) >= 3
    found, wanted = front.prompt(), to_api(example(name), front.host.info)
    for key in wanted:
        if ":" not in key:  # newer front ends number the nodes inside subgraphs in their own way
            assert_node_fits(wanted, key, found, key)
    assert set(front.page.evaluate(WRONG)) <= NAMING_FILES.get(name, set())


@pytest.mark.parametrize("name", ["1 First steps", "5 Control X-ray"])
def test_an_example_runs_and_shows_its_hint_and_its_result(front: Front, name: str) -> None:
    front.open_template(name)
    front.run()
    for kind, width in {"DrawTinyHint": 128, "SaveImage": 384}.items():
        shown = PICTURES.replace("SaveImage", kind)
        front.page.wait_for_function(
            f"(width) => ({shown})().includes(width)", arg=width, timeout=20_000
        )


def test_the_xray_is_shown_on_its_own_node_large_enough_to_read(front: Front) -> None:
    front.open_template("5 Control X-ray")
    front.run()
    own = PICTURES.replace("SaveImage", "ControlXRay")
    front.page.wait_for_function(f"(width) => ({own})().includes(width)", arg=XRAY, timeout=20_000)
    if front.vue and front.page.evaluate("window.__COMFYUI_FRONTEND_VERSION__").startswith("1.32."):
        return  # there Vue nodes size themselves: the picture is as wide as the node, which a person can widen
    width, height = front.page.evaluate(
        "() => [...app.graph._nodes.find((n) => n.comfyClass === 'ControlXRay').size]"
    )
    assert width >= 420
    assert height >= 560
