"""Our control beside every core node: the same graph with ComfyUI's own control says what is right."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from core_nodes import (
    NONE,
    NotFilled,
    Wired,
    guided,
    guider_nodes,
    makes_guider,
    model_nodes,
    patched,
)
from flows import WIRINGS, Control, effect_share
from graphs import Graph, Link, Sampling, save
from host import Failed, Host, Result
from weights import SD15, family

TOLERANCE = 1e-3
FAMILY = family(SD15)
#: Some nodes divide by what is 0 where the deepest features are a single pixel, so a second size is tried.
SIDES = (64, 128)
NATIVE = {"both": "native", "cond_only": "native_positive"}
#: Where a control of ours is, seen from the node -> how it is wired.
PLACES = {"before": "ours", "after": "ours", "conds": "routed"}
#: A node that gives a GUIDER has no MODEL behind it.
GUIDER_PLACES = ("before", "conds")

#: Node -> mode -> why ComfyUI's own control does not say what is right there; then the rows of the ControlNet do.
OWN_RIGHT = {
    "NAGuidance": {
        "cond_only": "it looks at which rows share a call, and native control splits the call"
    },
    "TomePatchModel": {
        "cond_only": "it merges tokens over the rows of a call, and native control splits the call"
    },
    "PatchModelAddDownscale": {
        "both": "native control is dropped where the features are shrunk; ours is resized",
        "cond_only": "native control is dropped where the features are shrunk; ours is resized",
    },
}
#: Nodes that are examined only when they are named, and why.
LEFT_OUT = {
    "TorchCompileModel": "compiles the UNet again for each graph, for minutes",
    "TrainLoraNode": "trains",
}


@dataclass(frozen=True)
class Outcome:
    """The result of one node in one mode, with ours in one place."""

    kind: str
    place: str  # a key of PLACES
    mode: str
    verdict: str  # "equal", "own rows", "wrong", "refused"
    note: str


def kinds_of(comfy: Host) -> list[str]:
    """Returns the nodes of this ComfyUI to be examined."""
    kinds = [*model_nodes(comfy.info), *guider_nodes(comfy.info)]
    return [kind for kind in kinds if kind not in LEFT_OUT]


def examine(comfy: Host, kind: str, places: Collection[str] = PLACES.keys()) -> list[Outcome]:
    """Returns what came of a node: one outcome for each mode and place, or one that says why there are none."""
    try:
        node, plain = at_its_side(comfy, kind)
    except (Failed, NotFilled) as error:
        return [Outcome(kind, "", "", "refused", first_line(error))]
    return beside(comfy, node, plain, places)


@dataclass(frozen=True)
class Node:
    """A node, the size of pictures at which it works, and widget values other than its defaults."""

    kind: str
    side: int
    values: Mapping[str, Any] = field(default_factory=dict)


def beside(
    comfy: Host, node: Node, plain: Result, places: Collection[str] = PLACES.keys()
) -> list[Outcome]:
    """Returns one outcome for each mode and place; `plain` are the node's latents with no control."""
    possible = GUIDER_PLACES if makes_guider(comfy.info, node.kind) else PLACES
    wanted = [place for place in possible if place in places]
    return [outcome for mode in NATIVE for outcome in _compared(comfy, node, mode, plain, wanted)]


def _compared(
    comfy: Host, node: Node, mode: str, plain: Result, places: Sequence[str]
) -> Iterator[Outcome]:
    reason = OWN_RIGHT.get(node.kind, {}).get(mode)
    expected = None if reason else _run(comfy, node, Control(NATIVE[mode]), "conds")
    for place in places:
        counted = f"{node.kind} {mode} {place}" if reason else ""
        ours = Control(PLACES[place], routing={"mode": mode}, count_as=counted)
        try:
            found = _run(comfy, node, ours, place)
            if expected is None:
                right, note = _rows_right(found, ours.count_as, mode), reason or ""
            else:
                share = effect_share(plain, expected, found)
                right, note = share <= TOLERANCE, f"{share:.1e}"
        except (Failed, ValueError) as error:
            right, note = False, first_line(error)
        verdict = "own rows" if reason else "equal"
        yield Outcome(node.kind, place, mode, verdict if right else "wrong", note)


def at_its_side(comfy: Host, kind: str, values: Mapping[str, Any] = NONE) -> tuple[Node, Result]:
    """Returns a node at the size at which it works, and its latents with no control.

    Raises:
        Failed: there is none.
        NotFilled: an input cannot be connected.
    """
    for side in SIDES:
        node = Node(kind, side, values)
        try:
            plain = _run(comfy, node, Control("none"), "conds")
        except Failed:
            if side == SIDES[-1]:
                raise
            continue
        if torch.isfinite(plain.samples).all():
            return node, plain
    raise Failed("the latents are not finite, with no control either")


def _run(comfy: Host, node: Node, control: Control, place: str) -> Result:
    """Runs the node with a control before it, behind it, or on the conds."""
    graph = Graph()
    name = f"{node.kind} {control.kind} {place}".replace("/", "")  # a file's
    model = graph.add("ProbeCount", model=FAMILY.model(graph), name=name)
    wired = (model, FAMILY.cond(graph, 1), FAMILY.cond(graph, 2))
    if place in ("conds", "before"):
        wired = WIRINGS[control.kind](graph, control, wired)
    behind = control if place == "after" else Control("none")
    latents = _sampled(comfy, graph, node, Wired(*wired, FAMILY), behind)
    comfy.run(save(graph, latents, name))
    return comfy.saved(name)


def _sampled(comfy: Host, graph: Graph, node: Node, wired: Wired, control: Control) -> Link:
    """Adds the node, a control behind it, and a sampler."""
    how = Sampling(steps=2, side=node.side)
    if makes_guider(comfy.info, node.kind):
        return guided(graph, comfy.info, node.kind, wired, how, node.values)
    model = patched(graph, comfy.info, node.kind, wired, node.values)
    conds = wired.positive, wired.negative
    model = WIRINGS[control.kind](graph, control, (model, *conds))[0]
    return how.ksampler(graph, model, *conds)


def _rows_right(found: Result, counted: str, mode: str) -> bool:
    """Whether the ControlNet ran on all rows of each call, or on the cond's alone."""
    wanted = [len(call) if mode == "both" else call.count(0) for call in found.calls]
    return found.counts[counted] == [rows for rows in wanted if rows]


def first_line(error: Exception) -> str:
    """Returns an error's first line, cut to a table's width."""
    words = str(error).strip() or "an error without words"
    return words.splitlines()[0][:160]


def counted(outcomes: list[Outcome]) -> dict[str, int]:
    """Returns how many outcomes there are of each verdict."""
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def lines(outcomes: list[Outcome]) -> Iterator[str]:
    """Gives the outcomes as a table."""
    for o in outcomes:
        yield f"{o.verdict:9} {o.kind:40} {o.place:7} {o.mode:10} {o.note}"
