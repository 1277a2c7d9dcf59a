"""The embedded model's graph, from prompt to picture, out of core nodes and ours."""

from typing import Any

from flows import ModelNodes, same
from graphs import Graph, Link, Sampling, output

PROMPT = "a coral circle on a navy background"
SIDE = 128


def tiny_nodes(graph: Graph) -> tuple[Link, Link, Link, Link]:
    """Adds the loader; returns its model, clip, vae and control_net."""
    loader = graph.add("LoadTinyStableDiffusion")
    return loader, output(loader, 1), output(loader, 2), output(loader, 3)


def picture_graph(
    apply: dict[str, Any] | None, how: Sampling, after: ModelNodes = same
) -> dict[str, Any]:
    """Returns a graph that saves a picture, with control where there are inputs for ApplyControlNet."""
    graph = Graph()
    model, clip, vae, net = tiny_nodes(graph)
    hint = graph.add("ProbePicture", width=SIDE, height=SIDE, count=1, seed=4)
    if apply is not None:
        numbers = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
        model = graph.add(
            "ApplyControlNet", model=model, control_net=net, image=hint, **{**numbers, **apply}
        )
    positive = graph.add("CLIPTextEncode", clip=clip, text=PROMPT)
    negative = graph.add("CLIPTextEncode", clip=clip, text="")
    latents = how.ksampler(graph, after(graph, model), positive, negative)
    decoded = graph.add("VAEDecode", samples=latents, vae=vae)
    graph.add("SaveImage", images=decoded, filename_prefix="tiny")
    graph.add("ProbeSave", samples=latents, name="tiny")
    return graph.nodes
