"""Checks that a UNet adds the features of a routed T2I-Adapter: ComfyUI only warns of those that do not fit."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .arriving import ControlLists
from .foreign.entry import Addition, ForeignEntry, ForeignPart, make_shell, raise_errors
from .host_types import Executor, Options, UNetModel

#: Where ComfyUI adds an adapter's features.
KEYS = ("input", "middle")


def call_checked(
    executor: Executor[UNetModel],
    x: Tensor,
    timesteps: Any,
    context: Any,
    y: Any,
    control: ControlLists | None,
    options: Options,
    **kwargs: Any,
) -> Any:
    """Calls a UNet with a `control` that may hold an adapter's features.

    Raises:
        ValueError: a feature has another shape than the UNet's own at its place.
    """
    additions: list[Addition] = []
    watched = control and {
        **control,
        **{key: _watch(key, control[key], len(x), additions) for key in KEYS},
    }
    found = executor(x, timesteps, context, y, watched, options, **kwargs)
    raise_errors(additions)
    return found


def _watch(
    key: str, entries: Sequence[Tensor | None], batch: int, additions: list[Addition]
) -> list[Tensor | None]:
    """Returns entries that are added as before, and appends the additions behind them."""
    found: list[Tensor | None] = []
    for place, entry in enumerate(entries):
        if entry is None or isinstance(entry, ForeignEntry):  # control on the MODEL checks itself
            found.append(entry)
            continue
        part = ForeignPart(entry, tuple(range(batch)))
        additions.append(Addition(f"{key} {len(entries) - 1 - place}", [part], batch, _pass))
        found.append(additions[-1].entry(make_shell(entry, batch)))
    return found


def _pass(rows: Sequence[int], feature: Tensor, residual: Tensor) -> None:
    """Measures nothing: the X-ray does not see adapters on conditioning."""
