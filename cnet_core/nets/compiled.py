"""StepCompiler: a ControlNet's step through `torch.compile`.

On a fast GPU a step waits for Python; compiled code starts its kernels with less of it. Compiling takes a minute or
more for each combination of size, rows and blocks, so only a few are compiled. Every other call runs as it is.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Protocol, cast

import torch
from torch import Tensor

logger = logging.getLogger("cnet")

#: How many combinations of size, rows and blocks are compiled for one net.
MOST_GRAPHS = 4

#: torch's stance is one for all threads, and hosts run each GPU in a thread of its own.
_LOCK = threading.RLock()

#: A backend of torch.compile: its name, or the function itself.
Backend = str | Callable[..., Any]
Blocks = list[Tensor | None]


class Compilable(Protocol):
    """What is compiled: a ControlNet."""

    @property
    def run_blocks(self) -> Callable[..., Blocks]:
        """Returns the residuals of the wanted blocks."""
        ...


def allow_any(net: object) -> bool:
    """Allows any net to be compiled."""
    return True


class StepCompiler:
    """Compiles the steps of one net, and remembers which. A copy of the net starts with a new one.

    Calls with gradients are never compiled. Where compiled code does not hold any longer (other weights, weights that
    the host casts), a call runs as it is. Nets of one shape share compiled code, since their weights are its inputs.
    """

    def __init__(self, backend: Backend, allows: Callable[[Any], bool]) -> None:
        self._backend = backend
        self._allows = allows
        self._seen: set[object] = set()
        self._room = MOST_GRAPHS
        self._has_failed = False
        self._logged: set[str] = set()
        self._compiled: Callable[..., Blocks] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "StepCompiler":
        return StepCompiler(self._backend, self._allows)

    def __reduce__(self) -> tuple[type["StepCompiler"], tuple[object, ...]]:
        return StepCompiler, (self._backend, self._allows)

    def run(self, net: Compilable, *args: object) -> Blocks:
        """Returns net.run_blocks(*args), by compiled code where there is or may be some."""
        if torch.compiler.is_compiling() or torch.is_grad_enabled():
            return net.run_blocks(*args)
        key = (*map(_mark, args), torch.is_inference_mode_enabled())
        with _LOCK:
            admitted = key in self._seen or self._admit(net)
            found, failure = self._try(key, net, *args) if admitted else (None, "")
        if found is None:
            found = net.run_blocks(*args)  # raises if the call itself is wrong
        if failure:
            self._seen.clear()
            self._has_failed = True
            self._log(f"torch.compile failed: {failure}")
        return found

    def _try(self, key: object, net: Compilable, *args: object) -> tuple[Blocks | None, str]:
        """Returns what compiled code gives, or None and why it failed."""
        stance = torch.compiler.set_stance("eager_on_recompile") if key in self._seen else None
        try:
            with stance or nullcontext():
                found = self._compile()(net, *args)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            return None, _say(error)  # the error itself would keep the call's tensors
        self._room -= stance is None
        self._seen.add(key)
        return found, ""

    def _admit(self, net: Compilable) -> bool:
        """Returns whether one more combination may be compiled; logs why not."""
        if self._has_failed:
            return False
        if self._room == 0:
            self._log(f"Only {MOST_GRAPHS} combinations of size, rows and blocks are compiled.")
            return False
        if not self._allows(net):
            self._log("Its layers cast or patch their weights at each call, as with low VRAM.")
            return False
        return True

    def _log(self, reason: str) -> None:
        if reason not in self._logged:
            logger.warning("A step of a ControlNet runs uncompiled. %s", reason)
        self._logged.add(reason)

    def _compile(self) -> Callable[..., Blocks]:
        if self._compiled is None:
            compiled = torch.compile(_run, dynamic=False, fullgraph=True, backend=self._backend)
            self._compiled = cast(Callable[..., Blocks], compiled)
        return self._compiled


def _run(net: Compilable, *args: object) -> Blocks:
    return net.run_blocks(*args)


def _mark(arg: object) -> object:
    """Returns what compiled code is special for: of a tensor everything but its numbers."""
    if not isinstance(arg, Tensor):
        return arg
    return arg.shape, arg.stride(), arg.dtype, arg.device


def _say(error: Exception) -> str:
    """Returns an error in one line: torch's first one says which part failed, its second why."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2]) or type(error).__name__
