"""What an addition raised and a model hid is raised once, and keeps nothing in memory."""

import gc
import weakref
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]


class Big:
    """Stands for what the frames of a call hold, such as the MODEL."""


def add_hiding(addition: Any, held: Big) -> None:
    """Adds to a feature of another shape as some models do: they hide what is raised."""
    try:
        addition.add_(torch.zeros(2, 3, 4, 4))
    except ValueError:
        return
    raise AssertionError(f"{held} got a residual of another shape")


def failed(part: Part) -> tuple[Any, weakref.ref[Big]]:
    """Lets an addition fail; returns it, and what the frames held."""
    entry, held = part("nodes.comfyui.foreign.entry"), Big()
    residual = entry.ForeignPart(torch.ones(2, 5, 4, 4), (0, 1))
    addition = entry.Addition("input 1", [residual], 2, lambda *seen: None)
    add_hiding(addition, held)
    return addition, weakref.ref(held)


@pytest.fixture
def collector_off() -> Iterator[None]:
    """Python's collector of cycles does not run."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("collector_off")
def test_an_error_that_a_model_hid_is_raised_once_and_keeps_nothing(part: Part) -> None:
    raise_errors = part("nodes.comfyui.foreign.entry").raise_errors
    addition, held = failed(part)
    assert held() is None
    with pytest.raises(ValueError, match=r"residual for input 1 is 2x5x4x4"):
        raise_errors([addition])
    raise_errors([addition])
    kept = weakref.ref(addition)
    del addition
    assert kept() is None
