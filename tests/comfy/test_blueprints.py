"""A blueprint inside a graph does what the nodes in it do."""

import json
from typing import Any

import pytest
import torch
from graphs import Graph, Link, Sampling, save
from host import REPOSITORY, Host, Result
from ui_format import to_api
from weights import SD15, family

FAMILY, HOW = family(SD15), Sampling(steps=4)
HOST = 100  # the id of the node that stands for the subgraph


def outside(graph: Graph) -> list[Link]:
    """Adds what goes into a blueprint: model, ControlNet and picture."""
    net = graph.add("LoadControlNet", control_net_name="sd15.safetensors")
    picture = graph.add("ProbePicture", width=64, height=64, count=1, seed=5)
    return [FAMILY.model(graph), net, picture]


def sampled(comfy: Host, graph: Graph, model: Link, name: str) -> Result:
    """Runs a graph with a model to its latents."""
    latents = HOW.ksampler(graph, model, FAMILY.cond(graph, 1), FAMILY.cond(graph, 2))
    comfy.run(save(graph, latents, name))
    return comfy.saved(name)


def opened(name: str, links: list[Link], info: dict[str, Any]) -> dict[str, Any]:
    """Returns the nodes of a blueprint in API format, with links to what goes in."""
    workflow = json.loads((REPOSITORY / "subgraphs" / f"{name}.json").read_text())
    workflow["nodes"][0]["id"] = HOST
    sockets = workflow["nodes"][0]["inputs"]
    for number, (socket, link) in enumerate(zip(sockets, links, strict=False), 1):
        socket["link"] = number
        workflow["links"].append([number, link[0], link[1], HOST, number - 1, socket["type"]])
    return to_api(workflow, info)


@pytest.mark.parametrize(
    ("name", "hint", "strength", "end"),
    [("Canny", "Canny", 1.0, 0.5), ("Depth", None, 0.5, 1.0), ("Pose", None, 1.0, 1.0)],
)
def test_a_blueprint_samples_as_its_chain_of_nodes(
    comfy: Host, name: str, hint: str | None, strength: float, end: float
) -> None:
    graph = Graph()
    model, net, picture = outside(graph)
    plain = sampled(comfy, graph, model, "plain").samples

    graph = Graph()
    model, net, picture = outside(graph)
    if hint:
        picture = graph.add(hint, image=picture, low_threshold=0.3, high_threshold=0.7)
    numbers = {"strength": strength, "start_percent": 0.0, "end_percent": end}
    model = graph.add("ApplyControlNet", model=model, control_net=net, image=picture, **numbers)
    chained = sampled(comfy, graph, model, "chained").samples

    graph = Graph()
    inside = opened(f"ControlNet {name} (SD1.5, SDXL)", outside(graph), comfy.info)
    (key,) = [key for key, node in inside.items() if node["class_type"] == "ApplyControlNet"]
    graph.nodes |= inside
    assert torch.equal(sampled(comfy, graph, [key, 0], "inside").samples, chained)
    assert not torch.equal(chained, plain)
