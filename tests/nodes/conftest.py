"""The pack as ComfyUI would hold it: under a name of its own, by path, without running its `__init__`s."""

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("pack", "pack.nodes", "pack.nodes.comfyui", "pack.nodes.comfyui.foreign")


@pytest.fixture(scope="session")
def part() -> Iterator[Callable[[str], ModuleType]]:
    """Imports a module of the pack that needs no ComfyUI, for example `nodes.comfyui.roles`."""
    for name in PACKAGES:
        package = ModuleType(name)
        package.__path__ = [str(REPOSITORY.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = package
    yield lambda name: importlib.import_module(f"pack.{name}")
    for name in [name for name in sys.modules if name.split(".")[0] == "pack"]:
        del sys.modules[name]
