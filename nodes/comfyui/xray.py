"""xray: the X-ray of the run that produced some latents."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...cnet_core.xray import describe, draw
from .host_types import Model
from .wrappers import KEY


def draw_xray(model: Model, samples: Any, leave_one_out: bool = False) -> tuple[Tensor, str]:
    """Returns a picture (1, H, W, 3) and a report of what the run injected.

    Raises:
        ValueError: the model has no ControlNet of this pack, or the latents come from none of its runs.
    """
    control = model.get_attachment(KEY)
    if control is None:
        raise ValueError(
            "`model` has no ControlNet on it: connect the model that comes out of Apply ControlNet (to the model)."
        )
    past = control.history.of(samples["samples"])
    record = past.record
    influence = None
    if leave_one_out and past.replay is not None:
        influence = past.replay.influence(record.blocks)
    pixels = np.asarray(draw(record, influence), dtype=np.float32) / 255
    return torch.from_numpy(pixels)[None], describe(record, influence)
