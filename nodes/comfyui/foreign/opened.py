"""OpenedControl: a copy of a CONTROL_NET at work in one run, for calls of one kind."""

import copy
from collections.abc import Sequence
from typing import Any

from ..host_types import BaseModel, Patcher
from .blocks import OwnBlocks
from .rows import RowInputs
from .spec import ForeignSpec


class OpenedControl:
    """A copy of a CONTROL_NET, which keeps what it makes of the hint; so each number of rows needs one of its own."""

    def __init__(
        self,
        spec: ForeignSpec,
        model: BaseModel,
        loaded: Sequence[Patcher],
        frames: Sequence[int],
        size: tuple[int, int],
    ) -> None:
        """Makes the copy.

        Args:
            spec: whose control net is copied.
            model: that is sampled.
            loaded: what ComfyUI loaded of the control net with it.
            frames: which picture of the whole batch each picture is.
            size: height and width of the latents.
        """
        self._control = control = spec.source.control.copy()
        _place_on(control, model, loaded)
        ratio = control.compression_ratio
        if control.latent_format is not None:
            ratio *= spec.vae.spacial_compression_encode()
        pixels = (size[0] * ratio, size[1] * ratio)
        control.set_cond_hint(
            spec.hint(frames, *pixels),
            spec.strength,
            (spec.start_percent, spec.end_percent),
            vae=spec.vae,
            extra_concat=spec.extra_concat(frames, *pixels),
        )
        control.pre_run(model, model.model_sampling.percent_to_sigma)

    def compute(self, inputs: RowInputs, chunks: int) -> OwnBlocks | None:
        """Returns the net's blocks for some rows; None where it does not act.

        Args:
            inputs: of these rows.
            chunks: how often they repeat the pictures of the hint.
        """
        control = self._control.get_control(
            inputs.x, inputs.sigmas, inputs.cond, chunks, inputs.options
        )
        return None if control is None else OwnBlocks.of(control)

    def close(self) -> None:
        """Has ComfyUI drop what the run needed."""
        self._control.cleanup()


def _place_on(control: Any, model: BaseModel, loaded: Sequence[Patcher]) -> None:
    """Gives a copy the weights that were loaded for this model: on a further GPU those of a clone."""
    if hasattr(control, "control_model") and loaded:
        control.control_model, control.control_model_wrapped = loaded[0].model, loaded[0]
    if hasattr(control, "t2i_model"):
        device: Any = getattr(model, "device", None)
        if device is not None and device != control.device:
            control.t2i_model = copy.deepcopy(control.t2i_model)
            control.device = device
