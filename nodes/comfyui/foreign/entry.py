"""ForeignEntry: one entry of a `control` that a model adds to its features, and that knows whether it did.

ComfyUI's models only do `features += entry`, some inside a `try` that hides what fails. An entry is a tensor of the
full shape without memory of its own: the addition itself is where residuals are scaled, and only in the rows that get
some. Any other use of it gives the full tensor.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ....cnet_core.nets.residuals import neighbours

#: Called before an addition with the rows, the features and the residual of these rows.
Seen = Callable[[tuple[int, ...], Tensor, Tensor], None]


@dataclass(frozen=True)
class ForeignPart:
    """What one control net adds at an entry; it is scaled when it is added.

    Attributes:
        tensor: of the rows alone; entries may share it.
        rows: of the batch, in order.
        factor: for all rows.
        weights: gains by row and mask, to be multiplied; they broadcast to `tensor`.
    """

    tensor: Tensor
    rows: tuple[int, ...]
    factor: float = 1.0
    weights: tuple[Tensor, ...] = ()

    def value(self) -> Tensor:
        """Returns the residual."""
        found = self.tensor if self.factor == 1 else self.tensor * self.factor
        for weight in self.weights:
            found = found * weight
        return found

    def is_all(self, batch: int) -> bool:
        """Whether the tensor as it is goes to all rows of a batch."""
        return self.factor == 1 and not self.weights and len(self.rows) == batch


class Addition:
    """All that is added at one entry of a model.

    Attributes:
        name: of the entry, for errors.
        taken: whether the model used it.
        error: what was wrong when it did.
    """

    def __init__(self, name: str, parts: Sequence[ForeignPart], batch: int, seen: Seen) -> None:
        self.name = name
        self.taken = False
        self.error: Exception | None = None
        self._parts, self._batch = parts, batch
        self._seen = seen
        self._only = parts[0] if len(parts) == 1 and parts[0].is_all(batch) else None

    def entry(self, shell: Tensor) -> "ForeignEntry":
        """Returns the entry for a model, of a shell (see `make_shell`), which entries may share."""
        return ForeignEntry.of(shell, self)

    def whole(self, like: Tensor) -> Tensor:
        """Returns what is added as one tensor for all rows, with the shape, dtype and device of `like`."""
        self.taken = True
        full = torch.zeros(like.shape, dtype=like.dtype, device=like.device)
        for rows, residual in self._sums():
            full[_place(rows)] += residual
        return full

    def add_(self, feature: Tensor) -> Tensor:
        """Adds to a feature in place, as `feature += entry` does.

        Raises:
            ValueError: the shapes differ.
        """
        self.taken = True
        only = self._only
        try:
            if only is not None and only.tensor.shape == feature.shape:  # the usual case
                self._seen(only.rows, feature, only.tensor)
                feature += only.tensor
                return feature
            for rows, residual in self._sums():
                self._add_rows_(feature, rows, residual)
        except Exception as error:
            # Some models hide what is raised here. A copy, since the traceback refers to the addition and the MODEL.
            self.error = copy.copy(error)
            raise
        return feature

    def _add_rows_(self, feature: Tensor, rows: tuple[int, ...], residual: Tensor) -> None:
        place = _EVERYWHERE if len(rows) == self._batch else _place(rows)
        part = feature if place is _EVERYWHERE else feature[place]
        if residual.shape != part.shape or feature.shape[0] != self._batch:
            self._check(residual, part, feature)
        self._seen(rows, part, residual)
        if isinstance(place, slice):
            part += residual  # the feature, or a view of it
        else:
            feature[place] = part + residual

    def _sums(self) -> Iterable[tuple[tuple[int, ...], Tensor]]:
        """Returns the residuals by rows; those of the same rows are summed first, as ComfyUI does."""
        sums: dict[tuple[int, ...], Tensor] = {}
        for part in self._parts:
            value, before = part.value(), sums.get(part.rows)
            sums[part.rows] = value if before is None else before + value
        return sums.items()

    def _check(self, residual: Tensor, part: Tensor, feature: Tensor) -> None:
        if feature.shape[0] != self._batch or not _broadcasts(residual, part):
            shape = (self._batch, *residual.shape[1:])
            raise ValueError(
                f"The ControlNet's residual for {self.name} is {_shape(shape)}, but the model's feature there is "
                f"{_shape(feature.shape)}. Use a ControlNet that is made for this model, and no node that resizes "
                "features."
            )


def raise_errors(additions: Sequence[Addition]) -> None:
    """Raises what an addition raised and the model hid."""
    for addition in additions:
        if addition.error is not None:
            error, addition.error = addition.error, None
            try:
                raise error
            finally:
                # Its traceback would keep it, and the MODEL, until Python's next collection.
                del error


class ForeignEntry(Tensor):
    """A tensor of the full shape whose addition is an Addition's."""

    addition: Addition
    full_shape: torch.Size

    @property
    def shape(self) -> torch.Size:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The shape. Models ask for it at each entry, and `__torch_function__` would cost more."""
        return self.full_shape

    @classmethod
    def of(cls, shell: Tensor, addition: Addition) -> "ForeignEntry":
        """Returns an entry; of the shell only shape, dtype and device count."""
        entry = shell.as_subclass(cls)
        entry.addition, entry.full_shape = addition, shell.shape
        return entry

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Answers torch: facts from the shell, additions by the Addition, everything else by the full tensor."""
        given = {} if kwargs is None else kwargs
        if func in _IN_PLACE and not given and not isinstance(args[0], ForeignEntry):
            return args[1].addition.add_(args[0])
        with torch._C.DisableTorchFunctionSubclass():  # pyright: ignore[reportPrivateUsage]
            if func in _OUT_OF_PLACE and not given and isinstance(args[1 - _own(args)], Tensor):
                own = _own(args)
                return args[own].addition.add_(args[1 - own].clone())
            if func is Tensor.to and len(args) <= 2 and isinstance(args[0], ForeignEntry):
                return cls.of(func(*args, **given).as_subclass(Tensor), args[0].addition)
            if func in _FACTS:
                return func(*args, **given)
            return func(*map(fill_entries, args), **{k: fill_entries(v) for k, v in given.items()})


_IN_PLACE = {Tensor.add_, Tensor.__iadd__}
_OUT_OF_PLACE = {Tensor.add, Tensor.__add__, Tensor.__radd__, torch.add}
_FACTS: set[Any] = {
    Tensor.size,
    Tensor.dim,
    Tensor.numel,
    Tensor.__len__,
    Tensor.is_floating_point,
    Tensor.element_size,
    *(
        getattr(Tensor, name).__get__
        for name in ("dtype", "device", "ndim", "layout", "requires_grad", "is_cuda")
    ),
}


#: All rows.
_EVERYWHERE = slice(None)


def make_shell(like: Tensor, batch: int) -> Tensor:
    """Returns a tensor without memory of its own, of the shape of a residual, but for its rows."""
    return like.new_empty(()).expand(batch, *like.shape[1:])


def _own(args: Sequence[Any]) -> int:
    return 0 if isinstance(args[0], ForeignEntry) else 1


def fill_entries(value: Any) -> Any:
    """Returns a value with the full tensor in place of each entry."""
    if isinstance(value, ForeignEntry):
        return value.addition.whole(value.as_subclass(Tensor))
    if isinstance(value, (list, tuple)):
        return type(value)(map(fill_entries, value))
    return value


def _place(rows: Sequence[int]) -> slice | list[int]:
    found = neighbours(rows)
    return list(rows) if found is None else found


def _broadcasts(residual: Tensor, part: Tensor) -> bool:
    sizes = zip(residual.shape, part.shape, strict=False)
    return residual.dim() == part.dim() and all(a in (1, b) for a, b in sizes)


def _shape(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))
