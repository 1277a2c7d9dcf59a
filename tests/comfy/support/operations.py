"""How many ATen operations control adds to a step of sampling in ComfyUI; the same on every machine.

A narrow net takes as many as a wide one. What a step takes is what the host must start, which paces a fast GPU.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows import COND_ONLY, Control, Flow
from graphs import Graph, Link, Sampling
from host import Host, Result
from weights import WIDENING, family

#: SD1.5 in all but width.
FILE = "widening.safetensors"
WAYS = {
    "ComfyUI: both": Control("native", FILE),
    "ComfyUI: on the positive alone": Control("native_positive", FILE),
    "both": Control("ours", FILE),
    "cond only": Control("ours", FILE, routing=COND_ONLY),
}
ADVANCED = "Advanced-ControlNet: uncond multiplier 0"
ADVANCED_NODE = "ACN_AdvancedControlNetApply_v2"
COUNTED = "operations"


@dataclass(frozen=True)
class Count:
    """Operations of a step by kind: all of them, and those that write memory."""

    kinds: Mapping[str, tuple[int, int]]

    def over(self, other: "Count") -> "Count":
        """Returns the differences, without the kinds that are equal."""
        pairs = {k: (self._of(k), other._of(k)) for k in sorted({*self.kinds, *other.kinds})}
        return Count({k: (a[0] - b[0], a[1] - b[1]) for k, (a, b) in pairs.items() if a != b})

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON: both sums, then the kinds."""
        every, writing = (sum(pair[i] for pair in self.kinds.values()) for i in (0, 1))
        kinds = {kind: list(pair) for kind, pair in self.kinds.items()}
        return {"operations": every, "that write": writing, "kinds": kinds}

    def _of(self, kind: str) -> tuple[int, int]:
        return self.kinds.get(kind, (0, 0))


def over_plain(comfy: Host) -> dict[str, dict[str, Any]]:
    """Returns what each way adds to a step without control; Advanced-ControlNet's too where its nodes are."""
    plain = _step(comfy, "plain")
    ways = dict(WAYS)
    if ADVANCED_NODE in comfy.info:
        ways[ADVANCED] = Control("advanced", FILE)
    return {name: _step(comfy, name, way).over(plain).to_dict() for name, way in ways.items()}


def versions(comfy: Host) -> str:
    """Returns the versions that the numbers depend on."""
    system = comfy.get("/system_stats")["system"]
    torch = system["pytorch_version"].partition("+")[0]
    return f"ComfyUI {system['comfyui_version']}, torch {torch}"


def _step(comfy: Host, name: str, *controls: Control) -> Count:
    flow = Flow(family(WIDENING), Sampling(steps=4), after=_counting)
    return _later_step(flow.run(comfy, f"operations {name}".replace(":", ""), *controls))


def _counting(graph: Graph, model: Link) -> Link:
    return graph.add("ProbeOperations", model=model, name=COUNTED)


def _later_step(result: Result) -> Count:
    """Returns what every step after the first took; the first also fills caches.

    Raises:
        ValueError: the later steps differ.
    """
    _, second, *rest = result.counts[COUNTED]
    if any(step != second for step in rest):
        raise ValueError("the steps after the first take different operations")
    return Count({kind: tuple(pair) for kind, pair in second.items()})
