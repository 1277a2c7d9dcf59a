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
