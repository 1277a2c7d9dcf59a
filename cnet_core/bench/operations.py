"""Counts the ATen operations of some work, which the host must start, however fast the device is.

The file needs only torch, so that tests can load it inside a ComfyUI.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Operations that allocate memory without writing it.
_UNWRITTEN = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


class Operations(TorchDispatchMode):
    """Counts the operations within it by kind, such as `aten.add.Tensor`.

    `kinds` has all of them, `writing` those that write memory: on a GPU, kernels. Views are only in `kinds`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kinds: Counter[str] = Counter()
        self.writing: Counter[str] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        self.kinds[str(func)] += 1
        self.writing[str(func)] += _writes(func._schema, (args, kwargs), found)
        return found


@torch.inference_mode()
def operations(work: Callable[[], object]) -> Operations:
    """Returns the operations of the work in inference mode, as ComfyUI samples."""
    with Operations() as counted:
        work()
    return counted


def _writes(schema: Any, given: object, found: object) -> bool:
    """Returns whether an operation wrote memory: in place, or new memory. A `reshape` does so only when it copies."""
    if schema.is_mutable:
        return True
    name = schema.name.partition("::")[2]
    return name not in _UNWRITTEN and not _storages(found) <= _storages(given)


def _storages(values: object) -> set[int]:
    tensors = (leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor))
    return {tensor.untyped_storage()._cdata for tensor in tensors}  # pyright: ignore[reportPrivateUsage]
