"""Our control beside every core node: the same graph with ComfyUI's own control says what is right."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from core_nodes import NotFilled, Wired, guided, guider_nodes, patched
from flows import WIRINGS, Control, effect_share
from graphs import Graph, Link, Sampling, save
from host import Failed, Host, Result
from weights import SD15, family

TOLERANCE = 1e-3
FAMILY = family(SD15)
#: Some nodes divide by what is 0 where the deepest features are a single pixel, so a second size is tried.
SIDES = (64, 128)
NATIVE = {"both": "native", "cond_only": "native_positive"}
PLACES = ("before", "after")

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
#: Node -> mode -> the wiring of native control that is right instead.
OTHER_NATIVE = {
    # Its second model, which is another MODEL, serves the negative; ours is on the first.
    "DualModelGuider": {"both": "native_positive"},
}


@dataclass(frozen=True)
class Outcome:
    """How one node went with one mode, and ours before or behind it."""

    kind: str
    place: str
    mode: str
    verdict: str  # "equal", "own rows", "wrong", "refused"
    note: str


def examine(comfy: Host, kind: str) -> list[Outcome]:
    """Returns what came of a node: one outcome for each mode and place, or one that says why there are none."""
    try:
        side = _side(comfy, kind)
    except (Failed, NotFilled) as error:
        return [Outcome(kind, "", "", "refused", _first_line(error))]
    is_guider = kind in guider_nodes(comfy.info)
    places = PLACES[1:] if is_guider else PLACES
    return [_outcome(comfy, kind, side, mode, place) for mode in NATIVE for place in places]


def _outcome(comfy: Host, kind: str, side: int, mode: str, place: str) -> Outcome:
    reason = OWN_RIGHT.get(kind, {}).get(mode)
    native = OTHER_NATIVE.get(kind, {}).get(mode, NATIVE[mode])
    ours = Control(routing={"mode": mode}, count_as=f"{kind} {mode} {place}" if reason else "")
    try:
        found = _run(comfy, kind, side, ours, place)
        if reason:
            right = _rows_right(found, ours.count_as, mode)
            return Outcome(kind, place, mode, "own rows" if right else "wrong", reason)
        expected = _run(comfy, kind, side, Control(native), "conds")
        share = effect_share(_run(comfy, kind, side, Control("none"), "conds"), expected, found)
    except (Failed, ValueError) as error:
        return Outcome(kind, place, mode, "wrong", _first_line(error))
    return Outcome(kind, place, mode, "equal" if share <= TOLERANCE else "wrong", f"{share:.1e}")


def _side(comfy: Host, kind: str) -> int:
    """Returns the size at which the node works with no control.

    Raises:
        Failed: there is none.
    """
    for side in SIDES:
        try:
            plain = _run(comfy, kind, side, Control("none"), "conds")
        except Failed:
            if side == SIDES[-1]:
                raise
            continue
        if torch.isfinite(plain.samples).all():
            return side
    raise Failed("the latents are not finite, with no control either")


def _run(comfy: Host, kind: str, side: int, control: Control, place: str) -> Result:
    """Runs the node with a control before it, behind it, or on the conds."""
    graph = Graph()
    model, positive, negative = FAMILY.model(graph), FAMILY.cond(graph, 1), FAMILY.cond(graph, 2)
    how = Sampling(steps=2, side=side)
    name = f"{kind} {control.kind} {place}"
    model = graph.add("ProbeCount", model=model, name=name)
    if place in ("conds", "before"):
        model, positive, negative = WIRINGS[control.kind](
            graph, control, (model, positive, negative)
        )
    latents = _sampled(
        comfy, graph, kind, Wired(model, positive, negative, FAMILY), how, control, place
    )
    comfy.run(save(graph, latents, name))
    return comfy.saved(name)


def _sampled(
    comfy: Host, graph: Graph, kind: str, wired: Wired, how: Sampling, control: Control, place: str
) -> Link:
    def controlled(model: Link) -> Link:
        if place != "after":
            return model
        return WIRINGS[control.kind](graph, control, (model, wired.positive, wired.negative))[0]

    if kind in guider_nodes(comfy.info):
        there = Wired(controlled(wired.model), wired.positive, wired.negative, FAMILY)
        return guided(graph, comfy.info, kind, there, how)
    model = controlled(patched(graph, comfy.info, kind, wired))
    return how.ksampler(graph, model, wired.positive, wired.negative)


def _rows_right(found: Result, counted: str, mode: str) -> bool:
    """Whether the ControlNet ran on all rows of each call, or on the cond's alone."""
    wanted = [len(call) if mode == "both" else call.count(0) for call in found.calls]
    return found.counts[counted] == [rows for rows in wanted if rows]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160]


def counted(outcomes: list[Outcome]) -> dict[str, int]:
    """Returns how many outcomes there are of each verdict."""
    verdicts = [outcome.verdict for outcome in outcomes]
    return {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}


def lines(outcomes: list[Outcome]) -> Iterator[str]:
    """Gives the outcomes as a table."""
    for o in outcomes:
        yield f"{o.verdict:9} {o.kind:40} {o.place:7} {o.mode:10} {o.note}"
