"""xray: the X-ray of the run that produced some latents."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...cnet_core.xray import describe, draw, suggestion_text
from .cond_hooks import history_of
from .host_types import Model


def draw_xray(
    model: Model, samples: Any, leave_one_out: bool = False, suggest_scales: bool = False
) -> tuple[Tensor, str]:
    """Returns a picture (1, H, W, 3) and a report of what the run injected.

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
    record = past.record
    influence = None
    if leave_one_out and past.replay is not None:
        influence = past.replay.influence(record.blocks)
    report = describe(record, influence)
    if suggest_scales and past.replay is not None:
        report += "\n\n" + suggestion_text(past.replay.suggestion(record.blocks))
    pixels = np.asarray(draw(record, influence), dtype=np.float32) / 255
    return torch.from_numpy(pixels)[None], report
