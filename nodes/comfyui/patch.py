"""ModelControl: control on a clone of a MODEL, through ComfyUI's keyed wrappers."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...cnet_core.hosting import UnitSpec
from ...cnet_core.xray import Watch
from .adapter_entries import call_checked
from .arriving import OWN_FORWARD, take_arrivals
from .conds import travelling_sources
from .families import check_count, has_unet
from .foreign import WATCH, ForeignCalls, ForeignSpec
from .history import History
from .host_types import BaseModel, Conds, Executor, Guider, Model, Options, UNetModel
from .inject import INJECTION, Injection, inject
from .layout import CondBatch
from .memory import widen_shape
from .moments import Moment
from .replay import Replay
from .run import Run, Start, models_key
from .shared import SharedByCopies
from .step import STEP, CondBatchStep, find_step
from .wrappers import KEY, with_wrappers

RUN = "cnet_run"

#: What to do if control cannot reach the UNet.
WAY_OUT = (
    "Leave that node out, or put a ControlNet of ComfyUI's own loader on the conditionings with ComfyUI's own Apply "
    "ControlNet node."
)


#: Puts units of a MODEL on the conds of a sampling from that noise, where a pack cuts only those into tiles. Returns
#: the units that stay.
Send = Callable[[Sequence[UnitSpec], Guider, Tensor], Sequence[UnitSpec]]


def _keep(specs: Sequence[UnitSpec], guider: Guider, noise: Tensor) -> Sequence[UnitSpec]:
    return specs


class ModelControl(SharedByCopies):
    """The units on one MODEL. The state of a run lives in the run's options, so two samplers may share one MODEL."""

    def __init__(self, specs: Sequence[UnitSpec | ForeignSpec], send: Send = _keep) -> None:
        self.specs = tuple(specs)
        self._send = send
        self._units = tuple(spec for spec in specs if isinstance(spec, UnitSpec))
        self._foreign = tuple(spec for spec in specs if isinstance(spec, ForeignSpec))
        self.history = History()
        self._open: list[Run] = []

    def attach(self, model: Model) -> None:
        """Puts the wrappers on a ModelPatcher, replacing those of earlier units.

        They are in the model options, first in their lists. ComfyUI reads them there, so they run outermost, and
        they survive packs that overwrite the ModelPatcher's own wrappers or copy its options.
        """
        options = model.model_options["transformer_options"]
        model.model_options["transformer_options"] = with_wrappers(
            options, self._wrappers(), first=True
        )
        model.remove_callbacks_with_key(CallbacksMP.ON_PRE_RUN, KEY)
        model.add_callback_with_key(CallbacksMP.ON_PRE_RUN, KEY, self._check_entered)
        for spec in self.specs:
            model.set_additional_models(models_key(spec.source), list(spec.source.patchers))
        model.set_attachments(KEY, self)

    def _wrappers(self) -> dict[str, Callable[..., Any]]:
        unet = {WrappersMP.DIFFUSION_MODEL: self._diffusion_model} if self._units else {}
        model = {WrappersMP.APPLY_MODEL: self._apply_model} if self._foreign else {}
        return {
            WrappersMP.OUTER_SAMPLE: self._outer_sample,
            WrappersMP.PREPARE_SAMPLING: self._prepare_sampling,
            WrappersMP.PREDICT_NOISE: self._predict_noise,
            WrappersMP.CALC_COND_BATCH: self._calc_cond_batch,
            **unet,
            **model,
        }

    def _open_run(
        self,
        units: Sequence[UnitSpec],
        guider: Guider | None = None,
        start: Start | None = None,
    ) -> Run:
        run = Run(units, guider, start)
        places = [i for i, spec in enumerate(self.specs) if isinstance(spec, ForeignSpec)]
        run.foreign = ForeignCalls(self._foreign, places, run) if self._foreign else None
        return run

    def _outer_sample(
        self,
        executor: Executor[Guider],
        noise: Any,
        latent_image: Any,
        sampler: Any,
        sigmas: Any,
        denoise_mask: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Opens the run, and closes it even after an error or an interrupt."""
        guider = executor.class_obj
        units = self._send(self._units, guider, noise)
        run = self._open_run(units, guider, Start(latent_image, sigmas, denoise_mask))
        guider.model_options["transformer_options"][RUN] = run
        self._open.append(run)
        try:
            latents = executor(noise, latent_image, sampler, sigmas, denoise_mask, *args, **kwargs)
            self._remember(run, latents)
            return latents
        finally:
            self._open.remove(run)
            guider.model_options["transformer_options"].pop(RUN, None)
            run.close()

    def _remember(self, run: Run, latents: Any) -> None:
        """Stores what a finished run injected, and removes the run from the guider."""
        if run.record.left_out is not None or run.percent_to_sigma is None:
            return
        replay = None
        moments = run.moments.list()
        if moments and run.start is not None:
            replay = Replay(run.guider, run.start, moments, run_key=RUN)
        history = self._history(run)
        history.add(run.record.recorder, run.percent_to_sigma, latents, replay)

    def _history(self, run: Run) -> History:
        """Returns where a run is remembered."""
        return self.history

    def _predict_noise(
        self,
        executor: Executor[Guider],
        x: Tensor,
        timestep: Any,
        model_options: Options,
        seed: int | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Keeps the inputs of the last prediction with control; checks that the first one reached the wrappers."""
        run = next((run for run in self._open if run.guider is executor.class_obj), None)
        if run is None:
            return executor(x, timestep, model_options, seed, *args, **kwargs)
        before, start = run.record.injections, x.clone()
        found = executor(x, timestep, model_options, seed, *args, **kwargs)
        if (run.specs or run.foreign) and not run.asked:
            raise RuntimeError(
                "A guider or a node on the model predicts without ComfyUI's `calc_cond_batch`, or with options that "
                f"were copied before the sampling began, so ApplyControlNet would have no effect. {WAY_OUT}"
            )
        if run.record.injections > before:
            run.moments.add(Moment(start, timestep, seed), run.is_past_middle())
        return found

    def _check_entered(self, patcher: object, *args: object) -> None:
        """Raises if a sampler starts without the wrappers: control would be silently lost.

        Copies of the model on further GPUs are not separate samplers.
        """
        if getattr(patcher, "is_multigpu_base_clone", False):
            return
        if not any(
            run.guider is not None and run.guider.model_patcher is patcher for run in self._open
        ):
            raise RuntimeError(
                "This sampler or guider runs a patched model without ComfyUI's sampling wrappers, so ApplyControlNet "
                "would have no effect. Apply it only to the guider's main model, or use another guider."
            )

    def _prepare_sampling(
        self,
        executor: Executor[None],
        model: Model,
        noise_shape: Sequence[int],
        conds: Mapping[str, Conds],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Also requests memory for the residuals, as if the latents were that much wider."""
        sources = {spec.source.key: spec.source for spec in self.specs if not spec.off}
        sources.update((source.key, source) for source in travelling_sources(conds))
        wider = widen_shape(noise_shape, model.model, sources.values())
        return executor(model, wider, conds, *args, **kwargs)

    def _calc_cond_batch(
        self,
        executor: Executor[None],
        model: BaseModel,
        conds: Sequence[Conds | None],
        x: Tensor,
        timestep: Tensor,
        model_options: Options,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Notes in the options which conds are cond, for the UNet calls inside."""
        options = model_options["transformer_options"]
        given = options.get(RUN)
        run = self._run_without_guider() if given is None else given
        run.percent_to_sigma = model.model_sampling.percent_to_sigma
        run.begin(float(timestep.flatten()[0]))
        batch = CondBatch.of(conds, x)
        step = CondBatchStep.of(run, model, batch, model_options.get("multigpu_clones", {}))
        inner = {
            **model_options,
            "transformer_options": {**self._around_unet(options, model), STEP: step},
        }
        try:
            found = executor(model, conds, x, timestep, inner, *args, **kwargs)
            ours = run.specs or any(travelling_sources(dict(enumerate(conds))))
            missed = (ours and not run.reached) or (self._foreign and not run.applied)
            if missed and batch.has_work(timestep.flatten()[0]):
                raise RuntimeError(OWN_FORWARD)
            return found
        finally:
            for other in (run, *self._open):
                other.asked = True
                other.reached = other.reached or run.reached
                other.applied = other.applied or run.applied
            if given is None and not self._open:
                run.close()

    def _around_unet(self, options: Options, model: BaseModel) -> Options:
        """Returns options with the pack's UNet wrappers outermost and innermost, however they were merged.

        A UNet also gets them without controls of ours on the MODEL, for those that arrive with the conditioning.
        """
        if self._foreign:
            kind = WrappersMP.APPLY_MODEL
            options = with_wrappers(options, {kind: self._apply_model}, first=True)
        if not has_unet(model):
            return options
        kind = WrappersMP.DIFFUSION_MODEL
        options = with_wrappers(options, {kind: self._diffusion_model}, first=True)
        return with_wrappers(options, {kind: inject}, first=False)

    def _run_without_guider(self) -> Run:
        """Returns a run for calls whose options lack the run: one for all of them inside the last run.

        Raises:
            RuntimeError: a unit needs to know which conds are cond, which only the guider knows.
        """
        if any(spec.needs_branches for spec in self.specs):
            raise RuntimeError(
                "A node calls the model with options that were copied before the sampling began, so ApplyControlNet "
                f"cannot tell cond rows from uncond rows. Set the routing of ApplyControlNet to both, or: {WAY_OUT}"
            )
        if not self._open:
            return self._open_run(self._units)
        around = self._open[-1]
        if around.nameless is None:
            around.nameless = self._open_run(self._units)
        return around.nameless

    def _apply_model(
        self,
        executor: Executor[BaseModel],
        x: Tensor,
        t: Tensor,
        c_concat: Any = None,
        c_crossattn: Any = None,
        control: Any = None,
        transformer_options: Options | None = None,
        **kwargs: Any,
    ) -> Any:
        """Has the foreign controls act in one call of the model."""
        options = {} if transformer_options is None else transformer_options
        step = find_step(options)
        if step.run.foreign is None or WATCH in options:
            return executor(x, t, c_concat, c_crossattn, control, options, **kwargs)
        step.run.applied = True
        return step.run.foreign.apply(
            executor, step, x, t, c_concat, c_crossattn, control, options, **kwargs
        )

    def _diffusion_model(
        self,
        executor: Executor[UNetModel],
        x: Tensor,
        timesteps: Any = None,
        context: Any = None,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: Options | None = None,
        **kwargs: Any,
    ) -> Any:
        """Computes the residuals of one UNet call and injects them."""
        options = {} if transformer_options is None else transformer_options
        step = find_step(options)
        step.run.reached = True
        arrived, control = take_arrivals(control)
        call = partial(call_checked, executor) if step.run.adapted else executor
        # Another pack may run the UNet again inside the call.
        if INJECTION in options or not (arrived or step.run.specs):
            return call(x, timesteps, context, y, control, options, **kwargs)
        text = kwargs.get("crossattn_controlnet", context)
        shared: Watch | None = options.get(WATCH)  # foreign controls act in this call too
        watch = Watch() if shared is None else shared
        residuals = step.answer(x, timesteps, text, y, options, watch, arrived)
        injection = None
        if residuals is not None:
            check_count(executor.class_obj, len(residuals.residuals.skips))
            injection = Injection(x, residuals, step.run.log_resize, watch)
        options = {**options, INJECTION: injection}
        found = call(x, timesteps, context, y, control, options, **kwargs)
        if injection is not None:
            injection.check_used()
        if shared is None:
            step.run.record.add(watch)
        return found
