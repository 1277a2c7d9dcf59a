"""What the names in a PyTorch file's pickle stand for: descriptions of tensors and storages, and nothing that runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Storage:
    """The numbers of one or several tensors, by their key in the file."""

    key: str
    dtype: torch.dtype
    count: int
    start: int = 0  # in numbers, of a view of another storage


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's place in its storage."""

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


def store_items(target: dict[str, Any], items: Iterable[tuple[Any, Any]]) -> None:
    """Stores values with text keys; no other keys are used, and hashing a nested one could crash."""
    target.update((key, value) for key, value in items if type(key) is str)


def _make_dictionary(items: Iterable[tuple[Any, Any]] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    store_items(found, ((key, value) for key, value in items))
    return found


def _describe_tensor(
    storage: Any, offset: Any, shape: Any, stride: Any, *more: Any
) -> StoredTensor | None:
    """Describes a tensor; None for one that is lazily negated or conjugated."""
    if more[2:] and more[2]:
        return None
    return _describe_tensor_of_dtype(storage, offset, shape, stride, None, None, storage.dtype)


def _describe_tensor_of_dtype(
    storage: Any, offset: Any, shape: Any, stride: Any, _grad: Any, _hooks: Any, dtype: Any, *_: Any
) -> StoredTensor:
    if type(storage) is not Storage:
        raise ValueError("a tensor needs a storage")
    sizes, steps = tuple(map(check_natural, shape)), tuple(map(check_natural, stride))
    return StoredTensor(storage, check_dtype(dtype), check_natural(offset), sizes, steps)


def _rebuild(rebuild: Any, _type: Any, arguments: Any, _state: Any) -> Any:
    return rebuild(*arguments)


def _take_first(*arguments: Any) -> Any:
    return arguments[0] if arguments else None


def _ignore(*_: object) -> None:
    """Replaces a function that is not used here."""


def check_text(value: Any) -> str:
    """Returns a text; raises ValueError for any other value."""
    if type(value) is not str:
        raise ValueError("a key must be text")
    return value


def check_natural(value: Any) -> int:
    """Returns a natural number; raises ValueError for any other value."""
    if type(value) is not int or value < 0:
        raise ValueError("a size must be a natural number")
    return value


def check_dtype(value: Any) -> torch.dtype:
    """Returns a dtype; raises ValueError for any other value."""
    if type(value) is not torch.dtype:
        raise ValueError("a storage must have a dtype")
    return value


def _find_dtypes() -> dict[str, torch.dtype]:
    found = (value for value in vars(torch).values() if isinstance(value, torch.dtype))
    return {str(dtype): dtype for dtype in found}


#: Classes of storages -> their dtype.
STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.qint8,
    "QUInt8Storage": torch.quint8,
    "QInt32Storage": torch.qint32,
}
#: Objects that training programs store besides tensors; they become None.
IGNORED = (
    *("_codecs.encode", "numpy.dtype", "builtins.set", "builtins.complex"),
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"),
    *(f"numpy.dtypes.{name}DType" for name in ("Bool", "Float16", "Float32", "Float64")),
    *(f"numpy.dtypes.{sign}{size}DType" for sign in ("Int", "UInt") for size in (8, 16, 32, 64)),
    *("torch.device", "torch.Tensor", "torch.serialization._get_layout"),
    *(f"torch.per_{kind}" for kind in ("tensor_affine", "tensor_symmetric")),
    *(f"torch.per_channel_{kind}" for kind in ("affine", "symmetric", "affine_float_qparams")),
    *(f"torch._utils._rebuild_{kind}_tensor" for kind in ("sparse", "nested")),
    *("torch._utils._rebuild_qtensor", "torch._utils._rebuild_meta_tensor_no_storage"),
    "torch._utils._rebuild_wrapper_subclass",
    *(f"torch._utils._rebuild_device_tensor_from_{kind}" for kind in ("numpy", "cpu_tensor")),
)
#: Every name that a pickle may use -> its replacement here.
ALLOWED: Mapping[str, Any] = {
    **dict.fromkeys(IGNORED, _ignore),
    **_find_dtypes(),
    **{f"torch.{name}": dtype for name, dtype in STORAGES.items()},
    **{f"torch.cuda.{name}": dtype for name, dtype in STORAGES.items()},
    "torch.storage.UntypedStorage": torch.uint8,
    "torch._utils._rebuild_tensor": _describe_tensor,
    "torch._utils._rebuild_tensor_v2": _describe_tensor,
    "torch._utils._rebuild_tensor_v3": _describe_tensor_of_dtype,
    "torch._tensor._rebuild_from_type_v2": _rebuild,
    "torch._utils._rebuild_parameter": _take_first,
    "torch._utils._rebuild_parameter_with_state": _take_first,
    "torch.nn.parameter.Parameter": _take_first,
    "torch.Size": _take_first,
    "collections.OrderedDict": _make_dictionary,
    "collections.Counter": _make_dictionary,
}
