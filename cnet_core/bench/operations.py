"""How many ATen operations some work takes: what a host must start, however fast the device is.

The file needs torch alone, so that tests can load it inside a ComfyUI.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

#: They return a view or memory as it is, though their schemas do not say so.
_WRITE_NOTHING = ("_unsafe_view", "empty", "empty_like", "empty_strided", "new_empty")


class Operations(TorchDispatchMode):
    """Counts the operations within it by kind, such as `aten.add.Tensor`.

    `kinds` has all of them, `writing` those that write memory: on a GPU, kernels. Views are in `kinds` alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()
        self.writing: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.kinds[str(func)] += 1
        self.writing[str(func)] += writes(func)
        return func(*args, **(kwargs or {}))


def writes(func: Any) -> bool:
    """Returns whether an operation writes memory; False for views and for memory that stays unwritten."""
    schema = func._schema
    name = schema.name.partition("::")[2]
    aliases = [result.alias_info for result in schema.returns if result.alias_info is not None]
    return name not in _WRITE_NOTHING and all(alias.is_write for alias in aliases)


@torch.inference_mode()
def operations(work: Callable[[], object]) -> Operations:
    """Returns the operations of the work in inference mode, as ComfyUI samples."""
    with Operations() as counted:
        work()
    return counted
