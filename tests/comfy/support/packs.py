"""Our control beside a real pack's node: what is right there, and whether it came out."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from core_nodes import NotFilled
from flows import COND_ONLY, Control, Flow
from graphs import Sampling
from host import Failed, Host, Result
from matrix import FAMILY, Node, at_its_side, beside, first_line

#: What must come out: native control's numbers, an error with a certain word, or what docs name as wrong.
Right = Literal["equal", "refused", "known"]
#: How control is routed -> what gives the right numbers, and ours.
Controls = Mapping[str, tuple[Control, Control]]

#: The head of the table, in Markdown.
HEAD = """| pack | commit | ComfyUI | node | control | share, or how the run stops | verdict |
|---|---|---|---|---|---|---|"""

EITHER: Controls = {
    "both": (Control("native"), Control()),
    "cond only": (Control("native_positive"), Control(routing=COND_ONLY)),
}


@dataclass(frozen=True)
class Case:
    """A graph with a pack's node in it.

    `expected` is a graph that gives the right numbers, where native control on the same graph does not. `tolerance` is
    for the mean error, as a share of the control's mean effect.
    """

    pack: str
    node: str
    flow: Flow
    right: Right = "equal"
    word: str = ""  # of the error, where the run must stop
    expected: Flow | None = None
    controls: Controls = field(default_factory=lambda: EITHER)
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Nodes:
    """Nodes of a pack, each with the widget values that make it act, tried before and behind ours."""

    pack: str
    values: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Outcome:
    """A line of the table."""

    pack: str
    node: str
    how: str
    found: str
    verdict: str  # "equal", "refused", "known", "idle", "not run", "wrong"


def outcomes(comfy: Host, trial: Case | Nodes) -> Iterator[Outcome]:
    """Runs one trial in a ComfyUI that has its packs."""
    if isinstance(trial, Case):
        yield from _of_case(comfy, trial)
        return
    for kind, values in trial.values.items():
        for outcome in _of_node(comfy, kind, values):
            yield replace(outcome, pack=trial.pack)


def commit_of(folder: Path) -> str:
    """Returns the short commit of a checkout."""
    command = ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def lines(rows: Sequence[Outcome], commit: str, version: str) -> Iterator[str]:
    """Gives a pack's outcomes as lines below HEAD; a share is the largest error, then the mean one."""
    for o in rows:
        cells = (o.pack, commit, version, o.node, o.how, o.found, o.verdict)
        yield f"| {' | '.join(cells)} |"


def _of_case(comfy: Host, case: Case) -> Iterator[Outcome]:
    for how, (right, ours) in case.controls.items():
        blank = Outcome(case.pack, case.node, how, "", "")
        try:
            plain, expected = _expected(comfy, case, right)
        except Failed as error:
            yield replace(blank, found=first_line(error), verdict="not run")
            continue
        try:
            found = case.flow.run(comfy, "ours", _fitted(ours, case.flow.sampling))
        except Failed as error:
            stopped = case.right == "refused" and case.word in str(error)
            verdict = "refused" if stopped else "wrong"
            yield replace(blank, found=first_line(error), verdict=verdict)
            continue
        most, mean = _shares(plain, expected, found)
        fits = case.right == "equal" and mean <= case.tolerance
        verdict = "known" if case.right == "known" else "equal" if fits else "wrong"
        yield replace(blank, found=f"{most:.1e}, {mean:.1e}", verdict=verdict)


def _expected(comfy: Host, case: Case, control: Control) -> tuple[Result, Result]:
    """Returns the latents with no control, and the right ones."""
    flow = case.expected or case.flow
    plain = flow.run(comfy, "plain")
    return plain, flow.run(comfy, "expected", _fitted(control, flow.sampling))


def _fitted(control: Control, how: Sampling) -> Control:
    """Returns a control with a hint for each picture, of the picture's size."""
    return replace(control, hints=how.batch, hint_side=how.side)


def _shares(plain: Result, expected: Result, found: Result) -> tuple[float, float]:
    effect = (expected.samples - plain.samples).abs()
    error = (found.samples - expected.samples).abs()
    return float(error.max() / effect.max()), float(error.mean() / effect.mean())


def _of_node(comfy: Host, kind: str, values: Mapping[str, Any]) -> Iterator[Outcome]:
    blank = Outcome("", kind, "", "", "not run")
    if kind not in comfy.info:
        yield replace(blank, found="the pack has no such node, or ComfyUI cannot import it")
        return
    try:
        node, plain = at_its_side(comfy, kind, values)
    except (Failed, NotFilled) as error:
        yield replace(blank, found=first_line(error))
        return
    if _is_idle(comfy, node, plain):
        yield replace(blank, found="changes nothing by itself", verdict="idle")
    for found in beside(comfy, node, plain):
        yield Outcome("", kind, f"{found.mode}, {found.place}", found.note, found.verdict)


def _is_idle(comfy: Host, node: Node, plain: Result) -> bool:
    """Whether the node does nothing with these values, so that it proves nothing either."""
    alone = Flow(FAMILY, Sampling(steps=2, side=node.side)).run(comfy, "alone")
    return torch.equal(alone.samples, plain.samples)
