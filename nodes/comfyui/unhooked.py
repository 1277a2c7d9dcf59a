"""Unhooked: a control's residuals in samplings that our hooks do not reach.

Some samplers call `calc_cond_batch` with options of their own. Then nobody says which rows are cond, and no wrapper of
ours is around the UNet; so the residuals go into ComfyUI's own lists, as those of its own controls.
"""

import sys
import weakref
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from torch import Tensor

from ...cnet_core import Residuals
from ...cnet_core.hosting import UnitSpec
from ...cnet_core.xray import Watch
from .arriving import KINDS, ControlLists
from .families import check_base_pair
from .host_types import BaseModel, Options
from .layout import CondBatch
from .run import Run
from .shared import SharedByCopies
from .step import CondBatchStep

#: Latents, noise levels, conditioning and number of conds of one `get_control`.
Asked = tuple[Tensor, Tensor, dict[str, Any], int]

#: Modules that are passed over when it is asked who samples.
PACK = __name__.partition(".nodes.")[0]

NO_PRE_RUN = "The sampler {} uses a ControlNet without ComfyUI's `pre_run`; use another sampler."
SAYS_NO_ROWS = (
    "The sampler {} calls the model without ComfyUI's hooks, so nothing says which rows are cond and which uncond. Set "
    "the routing of Route ControlNet to both, or use another sampler."
)


class Unhooked(SharedByCopies):
    """What one control keeps in such a sampling, from `pre_run` to `cleanup`."""

    def __init__(self) -> None:
        self._model: weakref.ref[BaseModel] | None = None  # after an error nobody calls `close`
        self._run: Run | None = None

    def begin(self, model: BaseModel) -> None:
        """Begins a sampling with a model."""
        self.close()
        self._model = weakref.ref(model)

    def close(self) -> None:
        """Drops everything kept."""
        if self._run is not None:
            self._run.close()
        self._model = self._run = None

    def add(
        self, before: ControlLists | None, spec: UnitSpec, asked: Asked, options: Options
    ) -> ControlLists | None:
        """Returns the chain's `control` with this one's residuals added.

        Raises:
            RuntimeError: the routing treats rows differently, or the sampler did not prepare the control.
            ValueError, TypeError: the model is of another family.
        """
        if spec.needs_branches:
            raise RuntimeError(SAYS_NO_ROWS.format(sampler_name()))
        residuals = self._compute(spec, *asked, options)
        return before if residuals is None else _merge(before, residuals)

    def _compute(
        self,
        spec: UnitSpec,
        x: Tensor,
        t: Tensor,
        cond: Mapping[str, Any],
        chunks: int,
        options: Options,
    ) -> Residuals | None:
        model = None if self._model is None else self._model()
        if model is None:
            raise RuntimeError(NO_PRE_RUN.format(sampler_name()))
        check_base_pair(model, spec.source)
        self._run = Run((), None) if self._run is None else self._run
        self._run.controls.begin(float(t.flatten()[0]))
        batch = CondBatch(((),), len(x) // chunks, (x.shape[-2], x.shape[-1]))
        step = CondBatchStep.of(self._run, model, batch)
        facts = {
            **options,
            "cond_or_uncond": [0] * chunks,
            "sigmas": t,
            "multigpu_thread_device": None,
        }
        sampling = model.model_sampling
        inputs = (sampling.calculate_input(t, x), sampling.timestep(t).float())
        text = cond.get("crossattn_controlnet", cond["c_crossattn"])
        found = step.answer(*inputs, text, cond.get("y"), facts, Watch(), (spec,))
        return None if found is None else found.expand()


def _merge(before: ControlLists | None, residuals: Residuals) -> ControlLists:
    """Returns ComfyUI's lists with ours added to equal places."""
    ours: dict[str, Sequence[Tensor | None]] = {
        "middle": [residuals.middle],
        "output": residuals.skips,
    }
    return {
        kind: [
            _sum(*pair) for pair in zip_longest((before or {}).get(kind, ()), ours.get(kind, ()))
        ]
        for kind in KINDS
    }


def _sum(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def sampler_name() -> str:
    """Returns the module that samples: the nearest caller outside of ComfyUI's library and of this pack."""
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        name: str = frame.f_globals.get("__name__", "")
        if not name.startswith(("comfy.", "torch.", PACK)):
            return f"{frame.f_code.co_name} ({name.rpartition('/')[2]})"
        frame = frame.f_back
    return "in use"
