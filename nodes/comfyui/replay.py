"""Replay: repeats the last prediction of a run, with and without each block's control."""

import copy
import weakref
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ...cnet_core.xray import Influence, influence_of
from .run import Start

#: Attributes that a guider gets from a model while it samples; a kept guider must not hold them.
OF_THE_MODEL = ("model_options", "conds", "inner_model", "loaded_models")
MODELS = (ModelPatcher, nn.Module)
#: Attributes that a guider was created with: conds as their nodes returned them.
GIVEN = "original_conds"


class Replay:
    """Everything needed to repeat a step's prediction: a guider without its models, and the step's latents."""

    def __init__(
        self,
        guider: Any,
        start: Start,
        x: Tensor,
        sigma: Tensor,
        seed: int | None,
        run_key: str,
    ) -> None:
        """Keeps a copy of the guider.

        Args:
            guider: ComfyUI's, after it has sampled.
            start: of the sampling.
            x: (N, C, H, W), the latents at the start of the step.
            sigma: (N,), its noise level.
            seed: of the sampling.
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
        self._x, self._sigma, self._seed = x.cpu(), sigma.cpu(), seed
        self._run_key = run_key

    def influence(self, blocks: int) -> Influence:
        """Returns the influence of each block on the guided prediction.

        Raises:
            ValueError: ComfyUI has freed a model of the run.
        """
        models = {name: model() for name, model in self._models.items()}
        if None in models.values():
            raise ValueError(
                "The model of this sampling is no longer in memory; run the sampler again for `leave_one_out`."
            )
        guider = copy.copy(self._guider)
        vars(guider).update(models)
        guider.model_options = guider.model_patcher.model_options
        sampler = _LeaveOneOut(blocks, self._sigma, self._run_key)
        guider.sample(
            self._x,
            self._start.latent_image,
            sampler,
            self._start.sigmas,
            denoise_mask=self._start.denoise_mask,
            disable_pbar=True,
            seed=self._seed,
        )
        return sampler.found


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


class _LeaveOneOut(comfy.samplers.Sampler):
    """Takes the place of a sampler, so that ComfyUI loads and prepares everything as usual."""

    def __init__(self, blocks: int, sigma: Tensor, run_key: str) -> None:
        self._blocks, self._sigma, self._run_key = blocks, sigma, run_key
        self.found = Influence((), 0.0)

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
        """Predicts from `noise`, once per block and twice more; outside the mask the latents are `latent_image`."""
        options = extra_args["model_options"]
        run = options["transformer_options"][self._run_key]
        sigma = self._sigma.to(noise.device)
        mask = torch.ones_like(noise) if denoise_mask is None else denoise_mask
        if denoise_mask is not None and "denoise_mask_function" in options:
            facts = {"model": guider, "sigmas": sigmas}
            mask = options["denoise_mask_function"](sigma, mask, extra_options=facts)
        bar = comfy.utils.ProgressBar(self._blocks + 2)

        def predict(left_out: frozenset[int]) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            run.record.left_out = left_out
            found = guider(noise, sigma, **extra_args)
            bar.update(1)
            return found * mask + latent_image * (1 - mask)

        self.found = influence_of(predict, self._blocks)
        return noise
