"""Replay: the last prediction of a sampling once more, with and without each block's control."""

import copy
import weakref
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import torch
from torch import Tensor

from ...cnet_core.xray import Influence, influence_of

#: What a guider has of a model while it samples; a kept one must not hold it.
OF_THE_MODEL = ("model_patcher", "model_options", "conds", "inner_model", "loaded_models")


class Replay:
    """All that is needed to predict again as at a step: a guider without its model, and the step's latents."""

    def __init__(
        self, guider: Any, x: Tensor, sigma: Tensor, seed: int | None, run_key: str
    ) -> None:
        """Keeps a copy of the guider.

        Args:
            guider: ComfyUI's, after it has sampled.
            x: (N, C, H, W), the latents that the step began with.
            sigma: (N,), its noise level.
            seed: of the sampling.
            run_key: where the wrappers keep their `Run` in the transformer options.
        """
        self._guider = copy.copy(guider)
        for name in OF_THE_MODEL:
            vars(self._guider).pop(name, None)
        # A strong one would make MODEL and history hold each other.
        self._model = weakref.ref(guider.model_patcher)
        self._x, self._sigma, self._seed = x.cpu(), sigma.cpu(), seed
        self._run_key = run_key

    def influence(self, blocks: int) -> Influence:
        """Returns the influence of each block on the guided prediction.

        Raises:
            ValueError: ComfyUI has let go of the model that was sampled with.
        """
        model = self._model()
        if model is None:
            raise ValueError(
                "The model of this sampling is not in memory any more; run the sampler again for `leave_one_out`."
            )
        guider = copy.copy(self._guider)
        guider.model_patcher, guider.model_options = model, model.model_options
        sampler = _LeaveOneOut(blocks, self._run_key)
        sigmas = torch.stack([self._sigma.flatten()[0], torch.zeros(())])
        empty = torch.zeros_like(self._x)
        guider.sample(self._x, empty, sampler, sigmas, disable_pbar=True, seed=self._seed)
        return sampler.found


class _LeaveOneOut(comfy.samplers.Sampler):
    """Stands in the place of a sampler, so that ComfyUI loads and prepares everything as for any other."""

    def __init__(self, blocks: int, run_key: str) -> None:
        self._blocks, self._run_key = blocks, run_key
        self.found = Influence((), 0.0)

    def sample(
        self,
        guider: Any,
        sigmas: Tensor,
        extra_args: dict[str, Any],
        callback: Any,
        noise: Tensor,
        *args: Any,
    ) -> Tensor:
        """Predicts from `noise` at the first of `sigmas`, once for each block and twice more."""
        run = extra_args["model_options"]["transformer_options"][self._run_key]
        bar = comfy.utils.ProgressBar(self._blocks + 2)

        def predict(left_out: frozenset[int]) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            run.left_out = left_out
            found = guider(noise, sigmas[:1].expand(len(noise)), **extra_args)
            bar.update(1)
            return found

        self.found = influence_of(predict, self._blocks)
        return noise
