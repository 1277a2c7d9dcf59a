"""Graphs in ComfyUI's API format, put together from a few parts."""

import json
from dataclasses import dataclass, replace
from typing import Any

#: A link to an output of a node: [node id, index].
Link = list[Any]


class Graph:
    """Nodes by id; `add` returns a link to a node's first output."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def add(self, kind: str, /, **inputs: Any) -> Link:
        """Adds a node, or finds the equal one that is there, so that both branches share it."""
        node = {"class_type": kind, "inputs": inputs}
        for key, known in self.nodes.items():
            if known == node:
                return [key, 0]
        key = str(len(self.nodes) + 1)
        self.nodes[key] = node
        return [key, 0]


def output(link: Link, index: int) -> Link:
    """Returns a link to another output of the same node."""
    return [link[0], index]


@dataclass(frozen=True)
class Family:
    """A narrow stand-in for a family of models: UNet arguments for ComfyUI, and the shapes of its conds."""

    unet: dict[str, Any]
    width: int
    vector: int = 0

    def model(self, graph: Graph, seed: int = 0) -> Link:
        """Adds a random UNet."""
        return graph.add("ProbeModel", arguments=json.dumps(self.unet, sort_keys=True), seed=seed)

    def cond(self, graph: Graph, seed: int) -> Link:
        """Adds a random conditioning."""
        return graph.add("ProbeConditioning", width=self.width, seed=seed, vector=self.vector)

    def inpaint(self) -> "Family":
        """Returns the family with mask and masked picture as further channels of the latents."""
        return replace(self, unet={**self.unet, "in_channels": 9})


@dataclass(frozen=True)
class Sampling:
    """How to sample; small by default."""

    sampler: str = "euler"
    scheduler: str = "normal"
    steps: int = 5
    cfg: float = 4.0
    seed: int = 7
    side: int = 64
    batch: int = 1

    def latent(self, graph: Graph) -> Link:
        """Adds the latents to start from."""
        return graph.add(
            "EmptyLatentImage", width=self.side, height=self.side, batch_size=self.batch
        )

    def ksampler(self, graph: Graph, model: Link, positive: Link, negative: Link) -> Link:
        """Adds a KSampler."""
        return graph.add(
            "KSampler",
            model=model,
            positive=positive,
            negative=negative,
            latent_image=self.latent(graph),
            seed=self.seed,
            steps=self.steps,
            cfg=self.cfg,
            sampler_name=self.sampler,
            scheduler=self.scheduler,
            denoise=1.0,
        )


def save(graph: Graph, samples: Link, name: str) -> dict[str, Any]:
    """Adds ProbeSave and returns the finished graph."""
    graph.add("ProbeSave", samples=samples, name=name)
    return graph.nodes
