"""Chains that the examples need more than once: subgraphs, which the API format knows only flattened."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphs import Graph, Link

#: The node that stands for a subgraph's inputs, as the front end numbers it; and that of its outputs.
INPUTS, OUTPUTS = -10, -20
CFG, SEED = 7.5, 6
ENLARGED = 3.0  # times the embedded model's pictures, which are small
LARGE = {"upscale_method": "nearest-exact", "scale_by": ENLARGED}
SHOWN = {"seed": SEED, "cfg": CFG}
SAMPLER = {"steps": 20, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}


@dataclass(frozen=True)
class Subgraph:
    """Nodes with inputs (name -> type), outputs (name -> (type, link inside)), and what its widgets show at first."""

    name: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, tuple[str, Link]]
    nodes: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The type of the nodes that stand for it."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cnet/{self.name}"))


class Inside:
    """A graph whose first links are the subgraph's inputs."""

    def __init__(self, **inputs: str) -> None:
        self.inputs, self.graph = inputs, Graph()

    def __getitem__(self, name: str) -> Link:
        return [str(INPUTS), list(self.inputs).index(name)]

    def sampled(self, positive: Link, latent: Link) -> Link:
        """Adds the sampler."""
        given = {name: self[name] for name in ("model", "negative", "seed", "cfg")}
        return self.graph.add(
            "KSampler", positive=positive, latent_image=latent, **given, **SAMPLER
        )

    def decoded(self, latents: Link) -> Link:
        """Adds the decoder."""
        return self.graph.add("VAEDecode", samples=latents, vae=self["vae"])

    def empty(self, side: int) -> Link:
        """Adds empty latents."""
        return self.graph.add("EmptyLatentImage", width=side, height=side, batch_size=1)

    def close(self, name: str, values: Mapping[str, Any], **outputs: tuple[str, Link]) -> Subgraph:
        """Returns the subgraph."""
        return Subgraph(name, self.inputs, outputs, self.graph.nodes, values)


def _drawing(name: str, side: int, enlarged: bool, cfg: float = CFG) -> Subgraph:
    """One picture."""
    inside = Inside(
        model="MODEL",
        positive="CONDITIONING",
        negative="CONDITIONING",
        vae="VAE",
        seed="INT",
        cfg="FLOAT",
    )
    latents = inside.sampled(inside["positive"], inside.empty(side))
    image = inside.decoded(latents)
    if enlarged:
        image = inside.graph.add("ImageScaleBy", image=image, **LARGE)
    shown = {**SHOWN, "cfg": cfg}
    return inside.close(name, shown, image=("IMAGE", image), latent=("LATENT", latents))


def _pair(side: int) -> Subgraph:
    """One picture with the prompt, at the left, and one without."""
    inside = Inside(
        model="MODEL",
        positive="CONDITIONING",
        negative="CONDITIONING",
        vae="VAE",
        seed="INT",
        cfg="FLOAT",
    )
    latent = inside.empty(side)
    drawn = [inside.decoded(inside.sampled(inside[c], latent)) for c in ("positive", "negative")]
    both = inside.graph.add(
        "ImageStitch",
        image1=drawn[0],
        image2=drawn[1],
        direction="right",
        match_image_size=True,
        spacing_width=4,
        spacing_color="black",
    )
    return inside.close("With and without prompt", SHOWN, image=("IMAGE", _large(inside, both)))


def _region() -> Subgraph:
    """One prompt inside a mask and another outside it."""
    inside = Inside(region="CONDITIONING", rest="CONDITIONING", mask="MASK")
    masks = inside["mask"], inside.graph.add("InvertMask", mask=inside["mask"])
    whole = {"strength": 1.0, "set_cond_area": "default"}
    parts = [
        inside.graph.add("ConditioningSetMask", conditioning=inside[side], mask=mask, **whole)
        for side, mask in zip(("region", "rest"), masks, strict=True)
    ]
    both = inside.graph.add("ConditioningCombine", conditioning_1=parts[0], conditioning_2=parts[1])
    return inside.close("A prompt for a region", {}, conditioning=("CONDITIONING", both))


def _large(inside: Inside, image: Link) -> Link:
    return inside.graph.add("ImageScaleBy", image=image, **LARGE)


DRAWING = _drawing("Draw the picture", 128, enlarged=True)
DRAWING_64 = _drawing("Draw a small picture", 64, enlarged=True)
#: Room for two things where the embedded model knows one; at a higher CFG scale the prompts would win over control, and
#: blotches appear where two prompts share a picture.
DRAWING_192 = _drawing("Draw 192 x 192 with CFG 3", 192, enlarged=True, cfg=3.0)
DRAWING_512 = _drawing("Draw 512 x 512", 512, enlarged=False)
DRAWING_1024 = _drawing("Draw 1024 x 1024", 1024, enlarged=False)
PAIR = _pair(128)
REGION = _region()
DRAWINGS = (DRAWING, DRAWING_64, DRAWING_192, DRAWING_512, DRAWING_1024)
#: Type of the node -> what it stands for.
SUBGRAPHS = {each.id: each for each in (*DRAWINGS, PAIR, REGION)}


def flat(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a graph without subgraphs: their nodes are named after both, as the front end queues them."""
    found = dict(_flattened(nodes))
    outer = {
        key: SUBGRAPHS[node["class_type"]]
        for key, node in nodes.items()
        if node["class_type"] in SUBGRAPHS
    }

    def resolved(value: Any) -> Any:
        if isinstance(value, list) and value[0] in outer:
            _, (key, slot) = list(outer[value[0]].outputs.values())[value[1]]
            return [f"{value[0]}:{key}", slot]
        return value

    return {
        key: {**node, "inputs": {name: resolved(v) for name, v in node["inputs"].items()}}
        for key, node in found.items()
    }


def _flattened(nodes: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, node in nodes.items():
        subgraph = SUBGRAPHS.get(node["class_type"])
        if subgraph is None:
            yield key, node
            continue
        given = [node["inputs"][name] for name in subgraph.inputs]
        for inner, each in subgraph.nodes.items():
            inputs = {name: _inside(v, key, given) for name, v in each["inputs"].items()}
            yield f"{key}:{inner}", {"class_type": each["class_type"], "inputs": inputs}


def _inside(value: Any, key: str, given: list[Any]) -> Any:
    if not isinstance(value, list):
        return value
    return given[value[1]] if value[0] == str(INPUTS) else [f"{key}:{value[0]}", value[1]]
