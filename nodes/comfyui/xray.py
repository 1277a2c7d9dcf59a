"""xray: the X-ray of the run that produced some latents."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...cnet_core.xray import Record, describe, draw, format_scales, suggestion_text
from .cond_hooks import history_of
from .history import Past
from .host_types import Model
from .replay import Replay

#: Why there are no suggested scales for T2I-Adapters and other models' control nets.
FOREIGN_BLOCKS = (
    "`suggest_scales` is not available for this kind of control: its blocks are not the places of the model that the "
    "report lists."
)


@dataclass(frozen=True)
class XRay:
    """What the node shows of a run.

    Attributes:
        picture: (1, H, W, 3), 0..1.
        report: the same in words, with what else was asked for.
        scales: the suggested ones, for `custom_scales`; None without a suggestion.
        controls: how many ControlNets acted.
    """

    picture: Tensor
    report: str
    scales: str | None
    controls: int


def draw_xray(
    model: Model, samples: Any, leave_one_out: bool = False, suggest_scales: bool = False
) -> XRay:
    """Returns what the run that made `samples` injected.

    Raises:
        ValueError: the model has no ControlNet of this pack, or the latents come from none of its runs.
    """
    history = history_of(model)
    if history is None:
        raise ValueError(
            "`model` has no ControlNet on it, and none of this pack's controlled its last runs: connect the very model "
            "that goes into the sampler, and its output."
        )
    past = history.of(samples["samples"])
    record, replay = past.record, past.replay
    influence = replay.influence(record.blocks) if leave_one_out and replay else None
    parts, scales = [describe(record, influence)], None
    if replay is None:
        asked = {"leave_one_out": leave_one_out, "suggest_scales": suggest_scales}
        parts += [_explain_lack(name, past) for name, is_on in asked.items() if is_on]
    elif suggest_scales:
        text, scales = _suggest(replay, record)
        parts.append(text)
    pixels = np.asarray(draw(record, influence), dtype=np.float32) / 255
    return XRay(torch.from_numpy(pixels)[None], "\n\n".join(parts), scales, record.active_units)


def _explain_lack(name: str, past: Past) -> str:
    """Returns why a run cannot be repeated for an input of the node."""
    reason = (
        "a model repeats only its last run if the control is on the prompts. Run this sampler again."
        if past.replaced
        else "no step of this run had control."
    )
    return f"`{name}` is not available: {reason}"


def _suggest(replay: Replay, record: Record) -> tuple[str, str | None]:
    """Returns the suggested scales in words and as `custom_scales`, or why there are none and None."""
    if None in record.scales:
        return FOREIGN_BLOCKS, None
    found = replay.suggestion(record.blocks)
    return suggestion_text(found, record), format_scales(found, record)
