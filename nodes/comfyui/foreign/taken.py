"""Whether a model added what it was given, asked when it has run."""

from collections.abc import Sequence
from typing import Any

from comfy.patcher_extension import WrappersMP

from ..host_types import Executor, Options
from .entry import Addition, raise_errors


class Passage:
    """Whether a call came through to the model's own forward, for models that run wrappers around it."""

    def __init__(self) -> None:
        self._entered = self._ran = False

    @property
    def spared(self) -> bool:
        """Whether a wrapper answered in the model's place, as EasyCache does."""
        return self._entered and not self._ran

    def watch(self, options: Options) -> Options:
        """Returns transformer options with our two wrappers outermost and innermost."""
        kind = WrappersMP.DIFFUSION_MODEL
        wrappers = options.get("wrappers", {})
        ours = {"cnet enters": [self._enter], **wrappers.get(kind, {}), "cnet runs": [self._run]}
        return {**options, "wrappers": {**wrappers, kind: ours}}

    def _enter(self, executor: Executor[Any], *args: Any, **kwargs: Any) -> Any:
        self._entered = True
        return executor(*args, **kwargs)

    def _run(self, executor: Executor[Any], *args: Any, **kwargs: Any) -> Any:
        self._ran = True
        return executor(*args, **kwargs)


def check_taken(additions: Sequence[Addition], worked: bool, model: Any) -> None:
    """Raises ValueError unless the model added every residual.

    Args:
        additions: of one call, which is over.
        worked: whether an earlier call of the run took all; then one that takes none was answered by a cache.
        model: the model, for its name.
    """
    raise_errors(additions)
    missed = [addition.name for addition in additions if not addition.taken]
    if not missed or (worked and len(missed) == len(additions)):
        return
    name = f"{type(model).__name__} ({type(model.diffusion_model).__name__})"
    if len(missed) == len(additions):
        raise ValueError(
            f"The MODEL, a {name}, used none of the ControlNet's residuals: it takes no control, or a node on it "
            "computes it in another way. Use a ControlNet that is made for this model."
        )
    raise ValueError(
        f"The MODEL, a {name}, used {len(additions) - len(missed)} of the ControlNet's {len(additions)} residuals and "
        f"left out {', '.join(missed[:3])}{', …' if len(missed) > 3 else ''}. Use a ControlNet that is made for this "
        "model."
    )
