"""The hooks through which a control on the conditioning reaches a sampling: ComfyUI registers them with it."""

from typing import Any

from comfy.hooks import HookGroup, TransformerOptionsHook
from comfy.patcher_extension import WrappersMP

from .conds import complete_hooks, release_hooks, share_equal_controls, spare_models
from .history import History
from .host_types import Executor, Guider, Model, Options
from .patch import RUN, ModelControl
from .run import Run
from .step import STEP
from .wrappers import KEY

#: Under which a MODEL keeps the runs that only its conditioning had controls in.
HISTORY = f"{KEY} history"


class CondHooks(ModelControl):
    """ModelControl's wrappers for samplings whose controls are on the conditioning.

    Where the MODEL has controls too, its own wrappers do the work, and these pass.
    """

    def __init__(self) -> None:
        super().__init__(())

    def hooks(self) -> HookGroup:
        """Returns the wrappers as hooks of ComfyUI's."""
        wrappers = {
            kind: {f"{KEY} conds": [wrapper]}
            for kind, wrapper in self._wrappers().items()
            if kind != WrappersMP.DIFFUSION_MODEL  # CALC_COND_BATCH puts it around each call
        }
        group = HookGroup()
        group.add(TransformerOptionsHook({"wrappers": wrappers}))
        return group

    def _outer_sample(self, executor: Executor[Guider], *args: Any, **kwargs: Any) -> Any:
        """Prepares the conds, and opens a run unless the MODEL's own wrappers did."""
        guider = executor.class_obj
        share_equal_controls(guider.conds)
        release_hooks(guider.conds, HOOKS)
        complete_hooks(guider.conds, guider.original_conds)
        spare_models(guider.conds, guider.model_patcher)
        if RUN in guider.model_options["transformer_options"]:
            return executor(*args, **kwargs)
        return super()._outer_sample(executor, *args, **kwargs)

    def _prepare_sampling(self, executor: Executor[None], *args: Any, **kwargs: Any) -> Any:
        options = kwargs.get("model_options") or {}
        if self._passes(options):
            return executor(*args, **kwargs)
        return super()._prepare_sampling(executor, *args, **kwargs)

    def _calc_cond_batch(
        self,
        executor: Executor[None],
        model: Any,
        conds: Any,
        x: Any,
        timestep: Any,
        model_options: Options,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self._passes(model_options):
            return executor(model, conds, x, timestep, model_options, *args, **kwargs)
        return super()._calc_cond_batch(
            executor, model, conds, x, timestep, model_options, *args, **kwargs
        )

    def _passes(self, model_options: Options) -> bool:
        """Whether the MODEL's own wrappers opened the run."""
        options = model_options.get("transformer_options", {})
        run = options.get(RUN)
        return STEP in options if run is None else run not in self._open

    def _history(self, run: Run) -> History:
        assert run.guider is not None
        return history_of(run.guider.model_patcher) or _begin_history(run.guider.model_patcher)


def history_of(model: Model) -> History | None:
    """Returns what a MODEL remembers of its last runs; None without any control."""
    control = model.get_attachment(KEY)
    return model.get_attachment(HISTORY) if control is None else control.history


def _begin_history(model: Model) -> History:
    history = History(
        replays=1
    )  # the MODEL outlives the ControlNets that only its conditioning had
    model.set_attachments(HISTORY, history)
    return history


#: One group for all our controls: ComfyUI tells hooks apart by object, and registers equal ones once.
HOOKS = CondHooks().hooks()
