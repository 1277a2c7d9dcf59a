"""never_trace: keeps `torch.compile` out of a function."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])


def never_trace(function: F) -> F:
    """Returns the function, never compiled; torch's own decorator hides from type checkers what it is."""
    return cast(F, torch.compiler.disable(function))
