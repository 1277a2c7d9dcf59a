"""Control in context windows."""

import types
from typing import Any

from bench import Bench, cnet, torch  # isort: skip
from torch import Tensor


def windows(bench: Bench, share: Any) -> dict[str, Any]:
    """Windows over six pictures with a hint each: the model treats them one by one, so windows change nothing."""
    many = Bench(bench.family, batch=6, hints=6)
    expected = many.sample(many.model, many.native())
    whole_calls = many.calls
    model = many.ours(cnet.HintRouting.cond_only())
    model.model_options["context_handler"] = window_handler(length=3)
    found = {"windows": share(many.sample(model), expected)}
    return {**found, "window calls": many.calls, "whole calls": whole_calls}


def window_handler(length: int) -> Any:
    """Returns a context handler, which predicts some pictures at a time: that of 0.3.75 fails with torch 2.14."""

    def predict(
        calc: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any
    ) -> list[Tensor]:
        totals = [torch.zeros_like(x) for _ in conds]
        for start in range(0, len(x), length):
            indices = list(range(start, min(start + length, len(x))))
            window = types.SimpleNamespace(index_list=indices, dim=0)
            inner = {**options["transformer_options"], "context_window": window}
            part = {**options, "transformer_options": inner}
            found = calc(model, conds, x[indices], timestep[indices], part)
            for total, prediction in zip(totals, found, strict=True):
                total[indices] = prediction
        return totals

    return types.SimpleNamespace(should_use_context=lambda *given: True, execute=predict)
