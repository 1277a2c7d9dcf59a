"""never_trace: keeps `torch.compile` out of a function."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

F = TypeVar("F", bound=Callable[..., Any])


def never_trace(function: F) -> F:
    """Returns the function, excluded from compilation; torch's own decorator hides its type from type checkers."""
    return cast(F, torch.compiler.disable(function))
