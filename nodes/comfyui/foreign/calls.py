"""ForeignCalls: the foreign controls of one run, and the wrapper that gives them to each call of the model."""

from collections.abc import Mapping, Sequence
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....cnet_core.control.clock import SigmaClock
from ....cnet_core.control.rows import rows_of
from ....cnet_core.engine.tracing import never_trace
from ....cnet_core.xray import Watch
from ..arriving import put_arrival, take_arrivals
from ..host_types import BaseModel, Executor, Options
from ..run import Run, find_patchers
from ..step import CondBatchStep
from .blocks import OwnBlocks
from .entry import Addition, ForeignPart
from .rows import RowInputs
from .spec import ForeignSpec
from .taken import Passage, check_taken
from .weave import Weave
from .work import ForeignCall, ForeignRun

#: Where TorchCompileModel keeps its wrapper.
COMPILED = "torch.compile"
#: Where a call's transformer options carry its Watch.
WATCH = "cnet_watch"


class ForeignCalls:
    """The foreign controls of one run."""

    def __init__(self, specs: Sequence[ForeignSpec], places: Sequence[int], run: Run) -> None:
        """Begins with none at work; `places` says where each stands among all controls of the MODEL."""
        self._run = run
        self._places = places
        self._runs = [ForeignRun(spec, run.controls.counts) for spec in specs]
        self._sigma: float | None = None
        self._worked = False

    def begin(self, sigma: float) -> None:
        """Begins a call of `calc_cond_batch` at a noise level."""
        if sigma != self._sigma:
            for run in self._runs:
                run.begin()
        self._sigma = sigma

    def clear(self) -> None:
        """Drops everything kept."""
        for run in self._runs:
            run.clear()

    def apply(
        self,
        executor: Executor[BaseModel],
        step: CondBatchStep,
        x: Tensor,
        t: Tensor,
        c_concat: Any,
        c_crossattn: Any,
        control: Any,
        options: Options,
        **kwargs: Any,
    ) -> Any:
        """Runs the model with the residuals of all controls in its `control`.

        Raises:
            ValueError: the model did not take every residual.
        """
        cond = {"c_crossattn": c_crossattn, "c_concat": c_concat, **kwargs}
        present = {name: value for name, value in cond.items() if value is not None}
        inputs = RowInputs(x, t, {**present, "transformer_options": options}, options)
        watch, passage = Watch(), Passage()
        arrived, control = take_arrivals(control)
        control, additions = self._compute(step, inputs, control, watch)
        for spec in arrived:
            control = put_arrival(control, spec)
        options = {**options, WATCH: watch}
        if additions:
            options = passage.watch(options)
        found = executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        for place, run in zip(self._places, self._runs, strict=True):
            watch.insert_use(place, run.use)
        self._run.record.add(watch)
        if additions and not passage.spared:
            check_taken(additions, self._worked, executor.class_obj)
            self._worked = True
        return found

    @never_trace
    def _compute(
        self, step: CondBatchStep, inputs: RowInputs, control: Any, watch: Watch
    ) -> tuple[Any, list[Addition]]:
        """Returns the `control` for the model, and what it must have added when it has run."""
        options, model = inputs.options, step.find_model(inputs.options)
        frames = step.batch.frames(inputs.x, options)
        rows = rows_of([step.branches[i] for i in options["cond_or_uncond"]], len(inputs.x))
        sigma = float(options["sigmas"].flatten()[0])
        watch.position, watch.rows, watch.cfg_scale = sigma, rows, step.cfg_scale
        clock = SigmaClock(sigma, step.model.model_sampling.percent_to_sigma, len(rows))
        found: list[tuple[OwnBlocks, list[ForeignPart | None]]] = []
        for run in self._runs:
            loaded = find_patchers(self._run.guider, run.spec.source, model)
            part = run.contribute(
                ForeignCall(model, loaded, inputs, rows, frames, clock, step.cfg_scale, step.guided)
            )
            if part is not None:
                found.append(part)
        if not found:
            return control, []
        weave = Weave(model.diffusion_model, len(rows), watch, self._run)
        if is_compiled(model, options):
            return weave.plain(control, found), []
        return weave.entries(control, found)


def is_compiled(model: BaseModel, options: Mapping[str, Any]) -> bool:
    """Whether `torch.compile` traces the model, which cannot see what an entry does."""
    wrappers = options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {})
    return COMPILED in wrappers or hasattr(model.diffusion_model, "_orig_mod")
