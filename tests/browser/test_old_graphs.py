"""Graphs that were saved before our ControlNets had ComfyUI's own socket type."""

from front import Front, fixture

OLD_TYPE = "CNET_CONTROL_NET"
APPLY = "ApplyControlNet"


def test_a_graph_with_the_old_socket_type_loads_and_runs(front: Front) -> None:
    """Over a reroute, and into a subgraph whose boundary names the old type."""
    graph = fixture("old_sockets")
    subgraphs = graph["definitions"]["subgraphs"]
    boundaries = [entry["type"] for one in subgraphs for entry in one["inputs"]]
    assert any(OLD_TYPE in type_ for type_ in boundaries)
    assert "Reroute" in [node["type"] for node in graph["nodes"]]
    front.load(graph)
    prompt = front.prompt()
    (net,) = (n["inputs"]["control_net"] for n in prompt.values() if n["class_type"] == APPLY)
    assert prompt[net[0]]["class_type"] == "LoadTinyStableDiffusion"
    front.host.run(prompt)


def test_a_saved_graph_has_route_between_loader_and_comfyuis_apply(front: Front) -> None:
    """Wired as by hand: loader, Route ControlNet, ComfyUI's own node; then saved, opened again and queued."""
    front.load({**fixture("old_sockets"), "nodes": [], "links": [], "definitions": {}})
    wired = front.page.evaluate(
        """() => {
            const add = (kind) => { const n = LiteGraph.createNode(kind); app.graph.add(n); return n; };
            const kinds = ['LoadTinyStableDiffusion', 'RouteControlNet', 'ControlNetApplyAdvanced'];
            const [tiny, route, apply] = kinds.map(add);
            const links = [tiny.connect(3, route, 'control_net'), route.connect(0, apply, 'control_net')];
            return links.every((link) => link);
        }"""
    )
    assert wired
    front.load(front.saved())
    prompt = front.prompt()
    by_kind = {node["class_type"]: node["inputs"] for node in prompt.values()}
    route = by_kind["ControlNetApplyAdvanced"]["control_net"]
    assert prompt[route[0]]["class_type"] == "RouteControlNet"
    assert prompt[by_kind["RouteControlNet"]["control_net"][0]]["class_type"] == (
        "LoadTinyStableDiffusion"
    )
