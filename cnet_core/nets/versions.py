"""version_of: whether a net's weights are those that they were."""

from collections.abc import Iterable, Iterator

from torch import Tensor, nn


def version_of(*parts: nn.Module | Tensor) -> int:
    """Returns a number that changes when weights of modules, or single ones, are written to in place or replaced.

    It does not change when accelerate moves weights to or from the meta device.
    """
    weights = (part for part in parts if isinstance(part, Tensor))
    modules = (part for part in parts if isinstance(part, nn.Module))
    marks = [_mark(weight) for weight in weights if not weight.is_meta]
    marks += [_mark(weight) for weight in _weights_of(modules) if not weight.is_meta]
    return hash(tuple(marks))


def _mark(weight: Tensor) -> tuple[int, int]:
    """Returns which tensor it is, and how often it was written to; inference tensors do not count that."""
    return id(weight), 0 if weight.is_inference() else weight._version  # pyright: ignore[reportPrivateUsage]


def _weights_of(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    found = list(modules)
    seen = set(found)
    for module in found:  # which grows; `parameters()` is slower
        for weight in module._parameters.values():  # pyright: ignore[reportPrivateUsage]
            if weight is not None:
                yield weight
        for child in module._modules.values():  # pyright: ignore[reportPrivateUsage]
            if child is not None and child not in seen:
                seen.add(child)
                found.append(child)
