"""Presets: the commands set the selected node, and add and wire what a preset has."""

import pytest
from front import EMPTY, Front

ADD = """() => {
    const node = LiteGraph.createNode("ApplyControlNet");
    app.graph.add(node);
    node.pos = [600, 200];
    app.canvas.selectNode(node);
}"""
RUN = "(id) => app.extensionManager.command.execute(id)"
#: Kind and the values of each node, and what is wired to the Apply node.
STATE = """() => {
    const apply = app.graph._nodes.find((n) => n.comfyClass === "ApplyControlNet");
    const source = (name) => apply.getInputNode(apply.inputs.findIndex((i) => i.name === name));
    const value = (node, name) => node?.widgets.find((w) => w.name === name)?.value ?? null;
    return {
        nodes: app.graph._nodes.length,
        strength: value(apply, "strength"),
        mode: value(source("routing"), "mode"),
        profile: value(source("scales"), "profile"),
    };
}"""


@pytest.fixture
def selected(front: Front) -> Front:
    """A page with a selected Apply ControlNet."""
    front.load(EMPTY)
    front.page.evaluate(ADD)
    front.page.wait_for_timeout(300)
    return front


def test_a_preset_sets_the_node_and_adds_what_it_has_in_one_step(selected: Front) -> None:
    selected.page.evaluate(RUN, "cnet.preset.sdxl_canny")
    assert selected.page.evaluate(STATE) == {
        "nodes": 1,
        "strength": 0.5,
        "mode": None,
        "profile": None,
    }
    selected.page.evaluate(RUN, "cnet.preset.webui_control")
    expected = {"nodes": 3, "strength": 0.5, "mode": "cond_only", "profile": "webui"}
    assert selected.page.evaluate(STATE) == expected
    selected.page.wait_for_timeout(500)
    selected.page.evaluate(RUN, "Comfy.Undo")
    selected.page.wait_for_timeout(800)
    assert selected.page.evaluate(STATE)["nodes"] == 1


def test_the_menu_of_the_node_offers_them(selected: Front) -> None:
    items = selected.page.evaluate("""() => {
        const node = app.graph._nodes[0];
        const mine = app.extensions.find((e) => e.name === "cnet.views").getNodeMenuItems(node);
        return mine[0].submenu.options.map((option) => option.content);
    }""")
    assert "Guess mode (ControlNet)" in items
    assert len(items) == 9


#: Gives the routing of the Apply node to a second one, and a time curve.
SHARE = """() => {
    const [apply] = app.graph._nodes.filter((n) => n.comfyClass === "ApplyControlNet");
    const place = apply.inputs.findIndex((i) => i.name === "routing");
    const other = LiteGraph.createNode("ApplyControlNet");
    app.graph.add(other);
    const routing = apply.getInputNode(place);
    routing.connect(0, other, place);
    routing.widgets.find((w) => w.name === "time_curve").value = "0:both, 0.5:none";
}"""
#: Mode and time curve of the routing of each Apply node.
ROUTINGS = """() => app.graph._nodes.filter((n) => n.comfyClass === "ApplyControlNet").map((apply) => {
    const routing = apply.getInputNode(apply.inputs.findIndex((i) => i.name === "routing"));
    const value = (name) => routing.widgets.find((w) => w.name === name).value;
    return [value("mode"), value("time_curve")];
})"""


def test_a_shared_routing_stays_as_it_is(selected: Front) -> None:
    selected.page.evaluate(RUN, "cnet.preset.webui_control")
    selected.page.evaluate(SHARE)
    selected.page.evaluate(RUN, "cnet.preset.webui_balanced")
    assert selected.page.evaluate(ROUTINGS) == [["both", ""], ["cond_only", "0:both, 0.5:none"]]
