"""Reads a pickle as data: a stack machine that imports nothing and calls only its own few functions.

It keeps dictionaries with text keys, lists, tuples, numbers, text, and descriptions of tensors. Anything else that a
training program may store, such as NumPy's numbers, becomes None. There is no global state, so threads may share it.
"""

import pickle
import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, cast

from .pickle_names import ALLOWED, Storage, check_dtype, check_natural, check_text, store_items

#: Longest description of tensors that is read; real ones are below 1 MB.
MAX_PICKLE = 64_000_000


class Readable(Protocol):
    """A file, or a memory map of one."""

    def read(self, n: int = ..., /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...
    def seek(self, pos: int, /) -> object: ...


class ForeignObjects(pickle.UnpicklingError):
    """A pickle names objects that are not allowed; `names` lists them."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        super().__init__()
        self.names = sorted(names)


def unpickle(file: Readable, storages: dict[str, Storage] | None = None) -> Any:
    """Returns the next pickle of a file as data, and moves the file's position past it.

    Args:
        file: at the start of the pickle.
        storages: receives each storage by its key.

    Raises:
        ForeignObjects: it names other objects, or uses opcodes that torch.save does not write.
        Exception: any other, for damaged bytes.
    """
    start = file.tell()
    foreign = _names(file) - ALLOWED.keys()
    if foreign:
        raise ForeignObjects(foreign)
    file.seek(start)
    machine = _Machine({} if storages is None else storages)
    for opcode, argument, _ in pickletools.genops(cast(Any, file)):
        machine.run(opcode.name, argument)
    return machine.stack.pop()


def _names(file: Readable) -> set[str]:
    """Returns the names of all objects that a pickle would import."""
    start, names = file.tell(), set[str]()
    for opcode, argument, position in pickletools.genops(cast(Any, file)):
        if (position or 0) - start > MAX_PICKLE:
            raise ValueError("the pickle is too long")
        if opcode.name not in OPCODES:
            raise ForeignObjects
        if opcode.name == "GLOBAL":
            names.add(_name(str(argument)))
    return names


def _name(argument: str) -> str:
    """Returns a name as Python 3 spells it."""
    module, _, name = argument.partition(" ")
    return f"{'builtins' if module == '__builtin__' else module}.{name}"


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, storages: dict[str, Storage]) -> None:
        self.storages = storages
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # stacks below the marks
        self.memo: dict[int, Any] = {}

    def run(self, opcode: str, argument: Any) -> None:
        """Runs one instruction."""
        if opcode in LITERALS:
            self.stack.append(argument)
        elif opcode in MAKERS:
            self.stack.append(MAKERS[opcode]())
        elif opcode in TUPLES:
            count = TUPLES[opcode]
            self.stack[-count:] = [tuple(self.stack[-count:])]
        elif opcode in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = self.stack[-1]
        elif opcode in ("BINGET", "LONG_BINGET"):
            self.stack.append(self.memo[argument])
        elif opcode == "GLOBAL":
            self.stack.append(ALLOWED[_name(argument)])
        elif opcode in ACTIONS:
            ACTIONS[opcode](self)

    def mark(self) -> None:
        """Starts a group of values."""
        self.outer.append(self.stack)
        self.stack = []

    def group(self) -> list[Any]:
        """Returns the values since the last mark."""
        values, self.stack = self.stack, self.outer.pop()
        return values

    def make_tuple(self) -> None:
        """Replaces the values since the last mark with a tuple of them."""
        values = tuple(self.group())
        self.stack.append(values)

    def append(self, values: list[Any]) -> None:
        """Appends to the list on the stack."""
        if type(self.stack[-1]) is not list:
            raise ValueError("only lists are appended to")
        self.stack[-1].extend(values)

    def set_items(self, values: list[Any]) -> None:
        """Stores keys and values in turn in the dictionary on the stack."""
        target: Any = self.stack[-1]
        if type(target) is not dict:
            raise ValueError("only dictionaries hold items")
        store_items(cast(dict[str, Any], target), zip(values[::2], values[1::2], strict=True))

    def call(self) -> None:
        """Replaces a function and its arguments with the result; only functions in ALLOWED exist."""
        arguments = self.stack.pop()
        self.stack[-1] = self.stack[-1](*arguments)

    def load_storage(self) -> None:
        """Replaces a persistent id with the storage that it names."""
        kind, dtype, key, _, count, *view = self.stack.pop()
        if kind != "storage":
            raise ValueError("only storages lie outside of the pickle")
        storage = Storage(check_text(key), check_dtype(dtype), check_natural(count))
        self.storages[storage.key] = storage
        if view and view[0] is not None:
            _, start, count = view[0]
            storage = replace(storage, start=check_natural(start), count=check_natural(count))
        self.stack.append(storage)


#: Opcodes that push their argument.
LITERALS = frozenset(
    (
        *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE"),
        *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES"),
    )
)
#: Opcodes that push a fixed value.
MAKERS: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: None,
}
#: Opcodes that make a tuple -> of how many values.
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
#: Opcodes that change the stack. BUILD would set attributes, so its state is dropped.
ACTIONS: Mapping[str, Callable[[_Machine], object]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.make_tuple,
    "APPEND": lambda m: m.append([m.stack.pop()]),
    "APPENDS": lambda m: m.append(m.group()),
    "SETITEM": lambda m: m.set_items([m.stack.pop(-2), m.stack.pop()]),
    "SETITEMS": lambda m: m.set_items(m.group()),
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": lambda m: m.stack.pop(),
    "POP": lambda m: m.stack.pop(),
    "BINPERSID": _Machine.load_storage,
}
OPCODES = frozenset(
    (
        *(*LITERALS, *MAKERS, *TUPLES, *ACTIONS),
        *("PROTO", "STOP", "GLOBAL", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
    )
)
