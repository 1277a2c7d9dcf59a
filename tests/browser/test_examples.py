"""The example workflows, from ComfyUI's templates to the picture."""

import pytest
from front import Front, example, templates
from ui_format import to_api

#: Nodes that name files which are not there; newer front ends mark them.
FILES = {"CheckpointLoaderSimple", "LoadControlNet", "LoadImage"}
NAMING_FILES = {"7 Stable Diffusion 1.5": FILES, "8 SDXL": FILES}
WRONG = "app.graph._nodes.filter((n) => n.has_errors).map((n) => n.comfyClass)"
XRAY = 1128  # pixels wide
SIZE = "(kind) => [...app.graph._nodes.find((n) => n.comfyClass === kind).size]"
NAMES = templates()
USE = "Use the suggested scales"
BUTTON = """(name) => app.graph._nodes.find((n) => n.comfyClass === "ControlXRay")
    .widgets.find((w) => w.name === name)?.type ?? null"""
PRESS = BUTTON.replace("?.type ?? null", ".callback()")
#: The profile and the numbers of the schedule that the Apply node takes.
SCALES = """() => {
    const apply = app.graph._nodes.find((n) => n.comfyClass === "ApplyControlNet");
    const { widgets } = apply.getInputNode(apply.inputs.findIndex((i) => i.name === "scales"));
    return ["profile", "custom_scales"].map((name) => widgets.find((w) => w.name === name).value);
}"""
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


def test_the_xrays_button_sets_the_suggested_scales(front: Front) -> None:
    graph = example("5 Control X-ray")
    (xray,) = [node for node in graph["nodes"] if node["type"] == "ControlXRay"]
    xray["widgets_values"] = [False, True]
    front.load(graph)
    assert front.page.evaluate(BUTTON, USE) is None
    front.run()
    front.page.wait_for_function(
        f"(name) => ({BUTTON})(name) === 'button'", arg=USE, timeout=20_000
    )
    if front.vue:
        front.page.get_by_role("button", name=USE).click()
    else:
        front.page.evaluate(PRESS, USE)
    profile, scales = front.page.evaluate(SCALES)
    assert profile == "custom"
    numbers = [float(number) for number in scales.split(",")]
    assert len(numbers) == 13
    assert 0.0 in numbers
    assert any(numbers)


def test_a_small_xray_grows_until_its_picture_can_be_read(front: Front) -> None:
    graph = example("5 Control X-ray")
    (xray,) = [node for node in graph["nodes"] if node["type"] == "ControlXRay"]
    del xray["properties"]["cnet_grown"]
    xray["size"] = [240, 120]
    front.load(graph)
    front.run()
    own = PICTURES.replace("SaveImage", "ControlXRay")
    front.page.wait_for_function(f"(width) => ({own})().includes(width)", arg=XRAY, timeout=20_000)
    front.page.wait_for_timeout(500)
    if front.vue:
        picture = front.page.locator(f"[data-node-id='{xray['id']}'] img").bounding_box()
        assert picture["width"] / front.page.evaluate("app.canvas.ds.scale") >= 350
    else:
        width, height = front.page.evaluate(SIZE, "ControlXRay")
        assert width >= 420
        assert height >= 560
