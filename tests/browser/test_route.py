"""Route ControlNet between our loader and ComfyUI's own Apply node: wired, saved, opened again and run."""

from front import EMPTY, Front

#: A graph by the names of its nodes; a link names a node and its output.
GRAPH = {
    "tiny": ("LoadTinyStableDiffusion", {}),
    "hint": ("DrawTinyHint", {}),
    "yes": ("CLIPTextEncode", {"clip": ("tiny", 1)}),
    "no": ("CLIPTextEncode", {"clip": ("tiny", 1)}),
    "mode": ("CFGHintRouting", {}),
    "route": ("RouteControlNet", {"control_net": ("tiny", 3), "routing": ("mode", 0)}),
    "apply": (
        "ControlNetApplyAdvanced",
        {
            "positive": ("yes", 0),
            "negative": ("no", 0),
            "control_net": ("route", 0),
            "image": ("hint", 0),
        },
    ),
    "latent": ("EmptyLatentImage", {}),
    "sample": (
        "KSampler",
        {
            "model": ("tiny", 0),
            "positive": ("apply", 0),
            "negative": ("apply", 1),
            "latent_image": ("latent", 0),
        },
    ),
    "image": ("VAEDecode", {"samples": ("sample", 0), "vae": ("tiny", 2)}),
    "preview": ("PreviewImage", {"images": ("image", 0)}),
}
VALUES = {"width": 64, "height": 64, "steps": 1}
#: Adds the nodes and connects them as a drag does, which the front end refuses for types that do not fit.
WIRE = """({graph, values}) => {
    const nodes = {};
    for (const [name, [kind]] of Object.entries(graph)) {
        const node = LiteGraph.createNode(kind);
        app.graph.add(node);
        for (const widget of node.widgets ?? []) widget.value = values[widget.name] ?? widget.value;
        nodes[name] = node;
    }
    const links = Object.entries(graph).flatMap(([name, [, inputs]]) =>
        Object.entries(inputs).map(([input, [source, slot]]) => nodes[source].connect(slot, nodes[name], input)));
    return links.every((link) => link);
}"""


def test_a_wired_graph_is_saved_opened_again_and_run(front: Front) -> None:
    front.load(EMPTY)
    assert front.page.evaluate(WIRE, {"graph": GRAPH, "values": VALUES})
    before = front.prompt()
    front.load(front.saved())
    assert front.prompt() == before
    by_kind = {node["class_type"]: (key, node["inputs"]) for key, node in before.items()}
    route, _ = by_kind["RouteControlNet"]
    assert by_kind["ControlNetApplyAdvanced"][1]["control_net"] == [route, 0]
    assert by_kind["RouteControlNet"][1]["routing"] == [by_kind["CFGHintRouting"][0], 0]
    front.run()
