"""Replay: repeats predictions of a run, with and without each block's control."""

import copy
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ...cnet_core.xray import Influence, Suggestion, influence_of, suggest_from
from ...cnet_core.xray.influence import PredictWithout
from .moments import Moment
from .run import Start

#: Attributes that a guider gets from a model while it samples; a kept guider must not hold them.
OF_THE_MODEL = ("model_options", "conds", "inner_model", "loaded_models")
MODELS = (ModelPatcher, nn.Module)
#: Attributes that a guider was created with: conds as their nodes returned them.
GIVEN = "original_conds"


class Replay:
    """Everything needed to repeat predictions: a guider without its models, and the latents of some steps."""

    def __init__(self, guider: Any, start: Start, moments: Sequence[Moment], run_key: str) -> None:
        """Keeps a copy of the guider.

        Args:
            guider: ComfyUI's, after it has sampled.
            start: of the sampling.
            moments: the predictions that can be repeated, in order.
            run_key: where the wrappers keep their `Run` in the transformer options.
        """
        self._guider = copy.copy(guider)
        # Strong references would make MODEL and history keep each other alive.
        self._models = {
            name: weakref.ref(value)
            for name, value in vars(guider).items()
            if isinstance(value, MODELS) and name not in OF_THE_MODEL
        }
        for name, value in vars(guider).items():
            if name in OF_THE_MODEL or (name != GIVEN and _is_of_a_run(value)):
                delattr(self._guider, name)
        self._start = Start(start.latent_image.cpu(), start.sigmas.cpu(), _single(start))
        self._moments = [replace(m, x=m.x.cpu(), sigma=m.sigma.cpu()) for m in moments]
        self._run_key = run_key

    def influence(self, blocks: int) -> Influence:
        """Returns the influence of each block on the last guided prediction with control.

        Raises:
            ValueError: ComfyUI has freed a model of the run.
        """
        found: list[Influence] = []
        self._repeat(
            self._moments[-1:],
            blocks + 2,
            lambda steps: found.append(influence_of(steps[0], blocks)),
        )
        return found[0]

    def suggestion(self, blocks: int) -> Suggestion:
        """Returns which blocks can get 0, from an early, a middle and a late prediction.

        Raises:
            ValueError: as `influence`.
        """
        found: list[Suggestion] = []
        count = len(self._moments) * (blocks + 3)
        self._repeat(self._moments, count, lambda steps: found.append(suggest_from(steps, blocks)))
        return found[0]

    def _repeat(
        self,
        moments: Sequence[Moment],
        count: int,
        ask: Callable[[Sequence[PredictWithout]], None],
    ) -> None:
        """Samples again with a sampler that hands its predictions to `ask`, about `count` of them."""
        models = {name: model() for name, model in self._models.items()}
        if None in models.values():
            raise ValueError(
                "The model of this sampling is no longer in memory; run the sampler again for `leave_one_out`."
            )
        guider = copy.copy(self._guider)
        vars(guider).update(models)
        guider.model_options = guider.model_patcher.model_options
        guider.sample(
            moments[-1].x,
            self._start.latent_image,
            _Repeat(moments, count, self._run_key, ask),
            self._start.sigmas,
            denoise_mask=self._start.denoise_mask,
            disable_pbar=True,
            seed=moments[-1].seed,
        )


def _is_of_a_run(value: object) -> bool:
    """Whether a guider's attribute is or contains a model, conds prepared for one, or a tensor on a device."""
    if isinstance(value, dict):
        return bool(value.get("model_conds")) or any(map(_is_of_a_run, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_is_of_a_run, value))
    if isinstance(value, Tensor):
        return value.device.type != "cpu"
    return isinstance(value, MODELS)


def _single(start: Start) -> Tensor | None:
    """Returns the mask with one channel: newer versions pass one per latent channel, but expect one."""
    mask = start.denoise_mask
    if mask is None:
        return None
    return (mask[:, :1] if mask.dim() == 4 else mask).cpu()


class _Repeat(comfy.samplers.Sampler):
    """Takes the place of a sampler, so that ComfyUI loads and prepares everything as usual."""

    def __init__(
        self,
        moments: Sequence[Moment],
        count: int,
        run_key: str,
        ask: Callable[[Sequence[PredictWithout]], None],
    ) -> None:
        self._moments, self._count, self._run_key, self._ask = moments, count, run_key, ask

    def sample(
        self,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        latent_image: Tensor,
        denoise_mask: Tensor | None = None,
        *args: Any,
    ) -> Tensor:
        """Hands out the predictions; outside the mask the latents are `latent_image`. `noise` is of the last moment."""
        options = extra_args["model_options"]
        run = options["transformer_options"][self._run_key]
        bar = comfy.utils.ProgressBar(self._count)
        facts = {"model": guider, "sigmas": sigmas}

        def repeat(x: Tensor, sigma: Tensor) -> PredictWithout:
            mask = torch.ones_like(x) if denoise_mask is None else denoise_mask
            if denoise_mask is not None and "denoise_mask_function" in options:
                mask = options["denoise_mask_function"](sigma, mask, extra_options=facts)

            def predict(left_out: frozenset[int]) -> Tensor:
                comfy.model_management.throw_exception_if_processing_interrupted()
                run.record.left_out = left_out
                found = guider(x, sigma, **extra_args)
                bar.update(1)
                return found * mask + latent_image * (1 - mask)

            return predict

        inputs = [moment.x.to(noise) for moment in self._moments[:-1]] + [noise]
        at = [moment.sigma.to(noise.device) for moment in self._moments]
        self._ask([repeat(x, sigma) for x, sigma in zip(inputs, at, strict=True)])
        return noise
