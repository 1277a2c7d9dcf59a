"""The arguments of a UNet call by name, whatever way they were given."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn


def argument_names(unet: nn.Module) -> tuple[str, ...]:
    """Returns the names of the forward's arguments, in order."""
    return tuple(inspect.signature(unet.forward).parameters)


def named_arguments(
    names: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns all arguments of a call by name."""
    return {**dict(zip(names, args, strict=False)), **kwargs}


def required(given: Mapping[str, Any], name: str) -> Any:
    """Returns an argument that control cannot do without.

    Raises:
        ValueError: it was not given.
    """
    value = given.get(name)
    if value is None:
        raise ValueError(f"The UNet was called without `{name}`; control needs it.")
    return value
