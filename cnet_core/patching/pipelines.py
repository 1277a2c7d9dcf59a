"""control_pipeline: a diffusers pipeline, called as before, with control.

diffusers is not imported; what is used of a pipeline is in the protocol `Pipeline`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import nn

from ..control import ControlUnit
from ..routing import Branch
from ..xray.record import Record
from .attachment import Attachment, patch_unet

#: diffusers' callback_on_step_end: (pipeline, step index, timestep, tensors) -> tensors to change.
OnStepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]


class Pipeline(Protocol):
    """What StableDiffusionPipeline, StableDiffusionXLPipeline and their image-to-image and PAG kin have."""

    unet: nn.Module

    @property
    def guidance_scale(self) -> float: ...

    @property
    def do_classifier_free_guidance(self) -> bool: ...

    @property
    def num_timesteps(self) -> int: ...

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class ControlledPipeline:
    """Runs a pipeline with control. The pipeline itself stays as it was, also after an exception.

    At every step the Attachment is told what the pipeline knows: whether there are uncond rows, the CFG scale, and
    the step, so that `HintRouting.target_gain` and windows that count steps work.
    """

    def __init__(self, pipe: Pipeline, units: ControlUnit | Sequence[ControlUnit]) -> None:
        self.pipe = pipe
        self.units = units
        self._attachment: Attachment | None = None  # of the last run

    def __call__(
        self, *args: object, callback_on_step_end: OnStepEnd | None = None, **kwargs: object
    ) -> Any:
        """Returns what the pipeline returns; all arguments are the pipeline's own."""
        names = getattr(callback_on_step_end, "tensor_inputs", None)
        if names is not None:  # a PipelineCallback, which diffusers would ask for these
            kwargs["callback_on_step_end_tensor_inputs"] = names
        with patch_unet(self.pipe.unet, self.units) as attachment:
            run = _Run(self.pipe, callback_on_step_end)
            attachment.before_call = run.before_call
            self._attachment = attachment
            return self.pipe(*args, callback_on_step_end=run.after_step, **kwargs)

    @property
    def record(self) -> Record:
        """What was injected in the last run, for `cnet_core.xray`.

        Raises:
            ValueError: there was none.
        """
        if self._attachment is None:
            raise ValueError("The pipeline has not run yet, so nothing was recorded.")
        return self._attachment.record


class _Run:
    """One run of a pipeline, step by step."""

    def __init__(self, pipe: Pipeline, then: OnStepEnd | None) -> None:
        self.pipe, self.then = pipe, then
        self.done = 0

    def before_call(self, attachment: Attachment) -> None:
        """Tells the Attachment what this step is. diffusers puts uncond rows first, PAG's perturbed ones last."""
        guided = self.pipe.do_classifier_free_guidance
        perturbed = getattr(self.pipe, "do_perturbed_attention_guidance", False)
        uncond: tuple[Branch, ...] = ("uncond",) if guided else ()
        attachment.rows = (*uncond, "cond", "cond") if perturbed else (*uncond, "cond")
        attachment.cfg_scale = self.pipe.guidance_scale
        attachment.step = (self.done, self.pipe.num_timesteps)

    def after_step(
        self, pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Counts as the pipeline does, then calls the user's own callback."""
        self.done = index + 1
        return tensors if self.then is None else self.then(pipe, index, timestep, tensors)


def control_pipeline(
    pipe: Pipeline, units: ControlUnit | Sequence[ControlUnit]
) -> ControlledPipeline:
    """Returns a diffusers pipeline with control, to be called like the pipeline itself.

        controlled = cn.control_pipeline(pipe, cn.ControlUnit(net, hint, routing=cn.HintRouting.cond_only()))
        image = controlled("a red house", num_inference_steps=20).images[0]

    Args:
        pipe: a StableDiffusionPipeline, StableDiffusionXLPipeline or their image-to-image and PAG kin; it is not
            changed.
        units: as for `patch_unet`.
    """
    return ControlledPipeline(pipe, units)
