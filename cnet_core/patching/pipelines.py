"""control_pipeline: adds control to a diffusers pipeline, which is called as before.

diffusers is not imported; the protocol `Pipeline` has what is used of a pipeline.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from torch import Tensor, nn

from ..control.routing import Branch
from ..engine.stack import ControlUnit
from ..xray.record import Record
from .attachment import Attachment, patch_unet

#: diffusers' callback_on_step_end: (pipeline, step index, timestep, tensors) -> tensors to change.
OnStepEnd = Callable[[Any, int, Any, dict[str, Any]], dict[str, Any]]
#: What a pipeline must have, and why.
NEEDED = ("unet", "guidance_scale", "do_classifier_free_guidance", "num_timesteps")
CALLBACK = "callback_on_step_end"
CALLBACK_INPUTS = "callback_on_step_end_tensor_inputs"
#: The argument for the number of pictures per prompt.
COPIES = ("num_images_per_prompt", "num_videos_per_prompt")


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
    """Runs a pipeline with control. The pipeline itself does not change, even after an exception.

    At every step the Attachment gets the pipeline's facts: whether there are uncond rows, the CFG scale, and the
    step, so that `HintRouting.target_gain` and windows that count steps work.
    """

    def __init__(self, pipe: Pipeline, units: ControlUnit | Sequence[ControlUnit]) -> None:
        self.pipe = pipe
        self.units = units
        self._attachment: Attachment | None = None  # of the last run

    def __call__(self, *args: object, **kwargs: Any) -> Any:
        """Returns what the pipeline returns; all arguments are the pipeline's own."""
        args, kwargs = _name_callback(self.pipe, args, kwargs)
        then: OnStepEnd | None = kwargs.pop(CALLBACK, None)
        # a PipelineCallback names the tensors that it wants, and diffusers would read that
        names: Any = getattr(then, "tensor_inputs", kwargs.get(CALLBACK_INPUTS))
        if names is not None:
            kwargs[CALLBACK_INPUTS] = list(dict.fromkeys((*names, "latents")))
        units = _repeat_units(self.units, _bind_arguments(self.pipe, args, kwargs))
        with patch_unet(self.pipe.unet, units) as attachment:
            run = _Run(self.pipe, then)
            attachment.before_call = run.before_call
            self._attachment = attachment
            return self.pipe(*args, callback_on_step_end=run.after_step, **kwargs)

    @property
    def record(self) -> Record:
        """What the last run injected, for `cnet_core.xray`.

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
        self._attachment: Attachment | None = None

    def before_call(self, attachment: Attachment) -> None:
        """Sets the facts of this step on the Attachment."""
        attachment.rows = _branches(self.pipe)
        attachment.cfg_scale = self.pipe.guidance_scale
        attachment.step = (self.done, self.pipe.num_timesteps)
        self._attachment = attachment

    def after_step(
        self, pipe: Any, index: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        """Counts as the pipeline does, then calls the user's own callback."""
        self.done = index + 1
        if self._attachment is not None:
            _check_rows(pipe, self._attachment, tensors["latents"])
        return tensors if self.then is None else self.then(pipe, index, timestep, tensors)


def control_pipeline(
    pipe: Pipeline, units: ControlUnit | Sequence[ControlUnit]
) -> ControlledPipeline:
    """Returns a diffusers pipeline with control, to be called like the pipeline itself.

        controlled = cn.control_pipeline(pipe, cn.ControlUnit(net, hint, routing=cn.HintRouting.cond_only()))
        image = controlled("a red house", num_inference_steps=20).images[0]

    Args:
        pipe: a StableDiffusionPipeline, StableDiffusionXLPipeline, AnimateDiffPipeline, or their image-to-image,
            inpainting, PAG and InstructPix2Pix kin; it is not changed.
        units: as for `patch_unet`. With several pictures of each prompt, hints and masks may be one per prompt.

    Raises:
        TypeError: a pipeline that does not report its step, or has no UNet.
    """
    _check_pipeline(pipe)
    return ControlledPipeline(pipe, units)


def _check_pipeline(pipe: object) -> None:
    lacks = [name for name in NEEDED if not hasattr(type(pipe), name) and not hasattr(pipe, name)]
    if CALLBACK not in inspect.signature(type(pipe).__call__).parameters:
        lacks.append(CALLBACK)
    if lacks:
        raise TypeError(
            f"`pipe` is a {type(pipe).__name__}, which has no {', '.join(f'`{name}`' for name in lacks)}; "
            "control_pipeline needs it. Where there is a UNet, use cnet_core.patch_unet(pipe.unet, units, rows=...) "
            "around the call."
        )


def _branches(pipe: Pipeline) -> tuple[Branch, ...]:
    """Returns the branches of the UNet's batch.

    diffusers puts uncond rows first and PAG's perturbed ones last. InstructPix2Pix has text and picture, then the
    picture alone, then neither; only the first sees the prompt.
    """
    guided = pipe.do_classifier_free_guidance
    if guided and hasattr(pipe, "image_guidance_scale"):
        return ("cond", "uncond", "uncond")
    uncond: tuple[Branch, ...] = ("uncond",) if guided else ()
    perturbed = getattr(pipe, "do_perturbed_attention_guidance", False)
    return (*uncond, "cond", "cond") if perturbed else (*uncond, "cond")


def _check_rows(pipe: Pipeline, attachment: Attachment, latents: Tensor) -> None:
    """Raises ValueError unless the UNet's batch had as many parts as the pipeline's expected branches."""
    pictures = len(latents) * (latents.shape[2] if latents.dim() == 5 else 1)
    if attachment.pictures != pictures:
        raise ValueError(
            f"A {type(pipe).__name__} calls the UNet with {attachment.pictures * len(attachment.rows)} rows for "
            f"{pictures} pictures, which are not the branches {tuple(attachment.rows)}: control would be in the wrong "
            "rows. Use cnet_core.patch_unet(pipe.unet, units, rows=...) around the call."
        )


def _name_callback(
    pipe: Pipeline, args: tuple[object, ...], kwargs: dict[str, Any]
) -> tuple[tuple[object, ...], dict[str, Any]]:
    """Returns a call's arguments with the callback, and what follows it, given by name."""
    parameters = inspect.signature(type(pipe).__call__).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD][1:]  # without self
    first = names.index(CALLBACK) if CALLBACK in names else len(names)
    named = dict(zip(names[first:], args[first:], strict=False))
    if len(args) > len(names) or named.keys() & kwargs.keys():
        return args, kwargs  # the pipeline itself says that something is given twice
    return args[:first], {**named, **kwargs}


def _bind_arguments(
    pipe: Pipeline, args: Sequence[object], kwargs: Mapping[str, object]
) -> dict[str, Any]:
    """Returns the arguments of a call of the pipeline by name; the pipeline itself reports what does not fit."""
    try:
        bound = inspect.signature(type(pipe).__call__).bind_partial(pipe, *args, **kwargs)
    except TypeError:
        return dict(kwargs)
    return dict(bound.arguments)


def _repeat_units(
    units: ControlUnit | Sequence[ControlUnit], given: Mapping[str, Any]
) -> ControlUnit | Sequence[ControlUnit]:
    """Returns the units with hints and masks of each prompt repeated for its pictures, as diffusers repeats hints."""
    copies = next((given[name] for name in COPIES if given.get(name)), 1)
    prompts = _prompts(given)
    if copies == 1 or prompts == 1:
        return units
    if isinstance(units, ControlUnit):
        return _for_pictures(units, prompts, copies)
    return [_for_pictures(unit, prompts, copies) for unit in units]


def _prompts(given: Mapping[str, Any]) -> int:
    prompt = given.get("prompt")
    if prompt is None:
        prompt = given.get("prompt_embeds")
    return 1 if prompt is None or isinstance(prompt, str | dict) else len(prompt)


def _for_pictures(unit: ControlUnit, prompts: int, copies: int) -> ControlUnit:
    def repeat(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(copies, dim=0) if len(tensor) == prompts else tensor

    mask = unit.mask
    if mask is not None and mask.dim() == 3:
        mask = repeat(mask)
    hint = tuple(map(repeat, unit.hints)) if isinstance(unit.hint, tuple) else repeat(unit.hint)
    return replace(unit, hint=hint, mask=mask)
