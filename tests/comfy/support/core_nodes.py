"""Every core node that takes and gives a MODEL, or gives a GUIDER, put into a graph from its description alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from described import Info, default_of, defaults, inputs_of, is_widget, required_of
from graphs import Family, Graph, Link, Sampling, output
from hosts import sampled_with, variant

#: Python modules of core nodes; custom nodes and nodes of paid services are not ours to test.
CORE = ("nodes", "comfy_extras.")
#: Names of conditioning inputs that guidance goes away from.
AWAY = ("neg", "empty", "uncond")
NONE: Mapping[str, Any] = MappingProxyType({})


class NotFilled(Exception):
    """An input of a node that nothing here can be connected to."""


@dataclass(frozen=True)
class Wired:
    """What a node's inputs may be connected to."""

    model: Link
    positive: Link
    negative: Link
    family: Family


def model_nodes(info: Info) -> list[str]:
    """Returns the core nodes with a MODEL in and a MODEL out."""
    return [kind for kind in _core(info) if "MODEL" in info[kind]["output"] and _models(info, kind)]


def guider_nodes(info: Info) -> list[str]:
    """Returns the core nodes that make a GUIDER of a MODEL."""
    return [kind for kind in _core(info) if makes_guider(info, kind) and _models(info, kind)]


def makes_guider(info: Info, kind: str) -> bool:
    """Whether a node gives a GUIDER."""
    return "GUIDER" in info[kind]["output"]


def control_net_appliers(info: Info) -> list[str]:
    """Returns the core nodes that put a CONTROL_NET on conditionings."""
    return [
        kind
        for kind in _core(info)
        if "CONDITIONING" in info[kind]["output"]
        and any(value[0] == "CONTROL_NET" for value in required_of(info, kind).values())
    ]


def patched(
    graph: Graph, info: Info, kind: str, wired: Wired, values: Mapping[str, Any] = NONE
) -> Link:
    """Adds a MODEL node with its defaults and `values`; returns its MODEL."""
    added = _filled(graph, info, kind, wired, values)
    return output(added, info[kind]["output"].index("MODEL"))


def guided(
    graph: Graph,
    info: Info,
    kind: str,
    wired: Wired,
    how: Sampling,
    values: Mapping[str, Any] = NONE,
) -> Link:
    """Adds a GUIDER node with its defaults and `values`, and a sampler; returns the latents."""
    added = _filled(graph, info, kind, wired, values)
    guider = output(added, info[kind]["output"].index("GUIDER"))
    return sampled_with(graph, wired.model, guider, how)


def _core(info: Info) -> list[str]:
    return sorted(kind for kind in info if info[kind]["python_module"].startswith(CORE))


def _models(info: Info, kind: str) -> list[str]:
    return [name for name, value in inputs_of(info, kind).items() if value[0] == "MODEL"]


def _filled(graph: Graph, info: Info, kind: str, wired: Wired, values: Mapping[str, Any]) -> Link:
    """Adds a node. Of several MODELs the first is the one at hand, the others are other models.

    Of what is optional, models and conds alone are connected.

    Raises:
        NotFilled: a required input is of a type that there is nothing for.
    """
    inputs = defaults(info, kind, **values)
    main, *others = _models(info, kind)
    inputs[main] = wired.model
    for index, name in enumerate(others):
        inputs[name] = wired.family.model(graph, seed=20 + index)
    required = required_of(info, kind)
    for name, served in inputs_of(info, kind).items():
        wanted = name in required or served[0] == "CONDITIONING"
        if wanted and name not in inputs and not is_widget(served):
            inputs[name] = _link(graph, info, name, served[0], wired)
    return graph.add(kind, **inputs)


def _link(graph: Graph, info: Info, name: str, kind: str, wired: Wired) -> Link:
    if kind == "CONDITIONING":
        side = wired.negative if any(word in name for word in AWAY) else wired.positive
        return variant(graph, side) if name.startswith(("empty", "cond2", "middle")) else side
    tiny = {"CLIP": 1, "VAE": 2}
    if kind in tiny:
        return output(graph.add("LoadTinyStableDiffusion"), tiny[kind])
    made: Mapping[str, tuple[str, dict[str, Any]]] = {
        "IMAGE": ("ProbePicture", {"width": 64, "height": 64, "count": 1, "seed": 3}),
        "LATENT": ("ProbeLatent", {"width": 8, "height": 8, "count": 1, "seed": 3}),
        "MASK": ("SolidMask", {"value": 0.5, "width": 64, "height": 64}),
        "SIGMAS": ("ManualSigmas", {"sigmas": "1.0, 0.5, 0.0"}),
    }
    if kind in made:
        node, inputs = made[kind]
        return graph.add(node, **inputs)
    for node in sorted(info):
        if kind in info[node]["output"] and _needs_nothing(info, node):
            return output(graph.add(node, **defaults(info, node)), info[node]["output"].index(kind))
    raise NotFilled(f"nothing to connect to `{name}` ({kind})")


def _needs_nothing(info: Info, kind: str) -> bool:
    """Whether a node runs with its widgets' defaults alone."""
    return all(
        is_widget(served) and default_of(served) != ""
        for served in required_of(info, kind).values()
    )
