"""Routed copies of control patches: of the patch's own class, they call it on the rows that want control."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ....cnet_core.control.call import take
from ....cnet_core.nets.residuals import neighbours
from ..foreign.rows import take_options
from ..host_types import Options
from ..shared import SharedByCopies
from .control import PatchControl

Arguments = dict[str, Any]


class RoutedPatch(SharedByCopies):
    """What the routed copies share; the patch's own class follows in the order of their classes."""

    control: PatchControl
    original: Callable[..., Any]  # the class's own `__call__`
    feature = "img"

    def __call__(self, call: Arguments) -> Arguments:
        """Adds control to the feature, in place as the patches do, in the rows that want it."""
        whole = call[self.feature]
        rows, weights = self._weigh(_options(call), whole, call)
        if self.control.is_idle(weights):
            return call
        part = _take(call, rows, len(whole), alike=len(set(weights)) == 1)
        given = part[self.feature]
        with self._strength(weights, given):
            found = self.original(self, part).get(self.feature, given)
        return {**call, self.feature: self._put(whole, rows, found)}

    def _put(self, whole: Tensor, rows: list[int], found: Tensor) -> Tensor:
        return put_rows_(whole, rows, found)

    @property
    def _owner(self) -> Any:
        """The object that holds the strength."""
        return self

    def _weigh(
        self, options: Options, features: Tensor, call: Mapping[str, Any]
    ) -> tuple[list[int], list[float]]:
        """Returns the rows that want control, and what their strength is multiplied by."""
        gains = self.control.gains(options, features)
        rows = [row for row, gain in enumerate(gains) if gain != 0]
        return rows, [gains[row] * self.control.scale(call) for row in rows]

    @contextmanager
    def _strength(self, weights: Sequence[float], like: Tensor) -> Generator[None]:
        """Sets the strength for one call."""
        owner, before = self._owner, self._owner.strength
        owner.strength = before * _by_row(weights, like)
        try:
            yield
        finally:
            owner.strength = before


class RoutedHint(RoutedPatch):
    """Prepares the hint once a call, for the patches that add it; not where no row wants it."""

    def __call__(self, call: Arguments) -> Arguments:
        """Calls the patch if any row wants control."""
        gains = self.control.gains(_options(call), call["x"])
        return self.original(self, call) if any(gains) else call


class RoutedMLP(RoutedPatch):
    """Changes the input of a block's MLP, by the strength of the patch that prepared the hint."""

    patch: Any
    feature = "x"

    def __call__(self, call: Arguments) -> Arguments:
        """As RoutedPatch, on a copy of the features."""
        return super().__call__({**call, **_place(call["transformer_options"])})

    def _put(self, whole: Tensor, rows: list[int], found: Tensor) -> Tensor:
        return found if len(rows) == len(whole) else put_rows_(whole.clone(), rows, found)

    @property
    def _owner(self) -> Any:
        return self.patch


class RoutedAttention(RoutedMLP):
    """Changes the inputs of a block's attention, by the strength of the patch that prepared the hint."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, q: Tensor, k: Tensor, v: Tensor, extra_options: Options, **more: Any
    ) -> Arguments:
        """Calls the patch on the rows that want control; the other rows of q, k and v stay."""
        whole = {"q": q, "k": k, "v": v}
        rows, weights = self._weigh(extra_options, q, _place(extra_options))
        if self.control.is_idle(weights):
            return {**whole, **more}
        part = {name: take(value, rows) for name, value in whole.items()}
        with self._strength(weights, part["q"]):
            found = self.original(self, **part, **more, extra_options=extra_options)
        changed = {n: self._put(whole[n], rows, found[n]) for n in whole if found[n] is not part[n]}
        return {**more, **whole, **changed}


#: Way of calling -> class.
WAYS: dict[str, type[RoutedPatch]] = {
    "features": RoutedPatch,
    "hint": RoutedHint,
    "mlp": RoutedMLP,
    "attention": RoutedAttention,
}


def copy_patch(patch: Any, way: str, control: PatchControl) -> Any:
    """Returns a copy of a patch, with its attributes and of its class, that is called as the settings say."""
    owner = type(patch)
    made = type(owner.__name__, (WAYS[way], owner), {"original": staticmethod(owner.__call__)})
    copy = object.__new__(made)
    copy.__dict__.update(patch.__dict__, control=control)
    return copy


def put_rows_(whole: Tensor, rows: list[int], part: Tensor) -> Tensor:
    """Writes rows back and returns the whole, unless they are views that were written in place."""
    if len(rows) == len(whole):
        return part
    adjacent = neighbours(rows)
    place = rows if adjacent is None else adjacent
    if adjacent is None or whole[adjacent].data_ptr() != part.data_ptr():
        whole[place] = part
    return whole


def _take(call: Arguments, rows: list[int], batch: int, alike: bool) -> Arguments:
    """Returns the arguments of a call for some rows.

    Nets that compute equal rows once (Uni3C) may do so only if the rows get control alike.
    """
    options = call["transformer_options"]
    chunks = len(options["cond_or_uncond"])
    options = take_options(options, sorted({row * chunks // batch for row in rows}))
    if not alike:
        options["cond_or_uncond"] = options["cond_or_uncond"][:1]
    part = {name: _take_value(value, rows, batch) for name, value in call.items()}
    return {**part, "transformer_options": options}


def _take_value(value: Any, rows: list[int], batch: int) -> Any:
    by_row = isinstance(value, Tensor) and value.dim() > 0 and len(value) == batch
    return take(value, rows) if by_row else value


def _options(call: Arguments) -> Options:
    if "transformer_options" not in call:
        raise RuntimeError(
            "This ComfyUI does not say which rows a patch of the model is called for, so Route Model Patch cannot act. "
            "Update ComfyUI to 0.3.75 or newer."
        )
    return call["transformer_options"]


def _place(options: Options) -> dict[str, Any]:
    return {"block_index": options["block_index"]}


def _by_row(weights: Sequence[float], like: Tensor) -> Any:
    """Returns one number if all are alike, else one for each row that broadcasts to (rows, tokens, C)."""
    if len(set(weights)) == 1:
        return weights[0]
    return torch.tensor(weights, dtype=like.dtype, device=like.device).reshape(-1, 1, 1)
