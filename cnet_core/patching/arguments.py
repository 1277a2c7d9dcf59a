"""The arguments of a UNet call by name, however they were passed."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn


def argument_names(unet: nn.Module) -> tuple[str, ...]:
    """Returns the names of the forward's arguments, in order.

    If a tool has replaced the module's forward with one of `*args, **kwargs`, as DeepCache does, the class's count.
    """
    return _list_names(unet.forward) or _list_names(type(unet).forward)[1:]  # without self


def name_arguments(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns all arguments of a call by name."""
    return {**dict(zip(names, args, strict=False)), **kwargs}


def with_changes(
    names: tuple[str, ...],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns a call's arguments with other values for some; positional ones stay positional."""
    by_place = dict(zip(names, args, strict=False))
    positional = tuple(changes.get(name, value) for name, value in by_place.items())
    rest = {name: value for name, value in changes.items() if name not in by_place}
    return (*positional, *args[len(positional) :]), {**kwargs, **rest}


def _list_names(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD))


def require(given: Mapping[str, Any], name: str) -> Any:
    """Returns an argument that control needs.

    Raises:
        ValueError: it was not given.
    """
    value = given.get(name)
    if value is None:
        raise ValueError(f"The UNet was called without `{name}`; control needs it.")
    return value
