"""What a PyTorch file may name besides tensors: NumPy's numbers, which stand-ins read; nothing else.

Training programs keep losses and rates as NumPy scalars beside the weights. None of them is used here, so the stand-ins
take the pickle's arguments and make nothing of them: no NumPy code runs and no memory is taken on the file's word.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

#: Classes of NumPy's dtypes, as pickles name them.
DTYPES = (
    *(f"numpy.dtypes.{name}DType" for name in ("Bool", "Float16", "Float32", "Float64")),
    *(f"numpy.dtypes.{sign}{size}DType" for sign in ("Int", "UInt") for size in (8, 16, 32, 64)),
)
#: How NumPy 1 and 2 make a scalar.
SCALARS = ("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")


class _Dtype:
    """In place of a NumPy dtype."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def _scalar(*arguments: object) -> None:
    """In place of the maker of a NumPy number."""


def _encode(*arguments: object) -> None:
    """In place of the codec through which old pickles write a number's bytes."""


STAND_INS: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("numpy.dtype", *DTYPES), _Dtype),
    **dict.fromkeys(SCALARS, _scalar),
    "_codecs.encode": _encode,
}


def harmless_globals() -> list[Callable[..., Any] | tuple[Callable[..., Any], str]]:
    """Returns the stand-ins and what they stand for, as torch.serialization.safe_globals takes them."""
    return [(stand_in, name) for name, stand_in in STAND_INS.items()]


def foreign_objects(path: Path) -> list[str]:
    """Returns the names of what a PyTorch file needs besides tensors and NumPy's numbers, for messages."""
    try:
        found = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # of a damaged file; the message does without
        return []
    return [name[:80] for name in found if name not in STAND_INS]
