"""Reads the schemas of the nodes without ComfyUI, through stand-ins for the modules that they import from it."""

import importlib
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]
#: The pack's name while its nodes are imported.
PACK = "pack"


@dataclass
class Schema:
    """What a node states about itself, as `comfy_api.latest.io.Schema` takes it."""

    node_id: str
    display_name: str
    category: str
    description: str
    inputs: list["Input"]
    outputs: list["Output"]
    search_aliases: list[str] = field(default_factory=list)
    is_output_node: bool = False


class Input:
    """An input of any type. Options are ignored: some of them are the files of one machine."""

    def __init__(self, id: str, *, tooltip: str, **options: Any) -> None:
        self.id, self.tooltip = id, tooltip


class Output:
    """An output of any type."""

    def __init__(self, *, display_name: str, tooltip: str) -> None:
        self.display_name, self.tooltip = display_name, tooltip


class Socket:
    """A type of inputs and outputs."""

    Input, Output = Input, Output


class _Module(ModuleType):
    """A module in which every name that it was not given is `rest`, except those that Python itself looks for."""

    def __init__(self, name: str, rest: Any = None, **names: Any) -> None:
        super().__init__(name)
        self.__dict__.update(names, rest=rest)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.rest


def read_schemas(root: Path = ROOT) -> list[Schema]:
    """Returns the schemas of all nodes below `root`. Needs an interpreter of its own: it fills `sys.modules`."""
    sys.modules.update(_stand_ins(root))
    nodes = importlib.import_module(f"{PACK}.nodes")
    return [node.define_schema() for node in nodes.NODES]


def _stand_ins(root: Path) -> dict[str, ModuleType]:
    """Returns the pack itself, ComfyUI's API, and a substitute for the folder that touches ComfyUI's internals."""
    pack = ModuleType(PACK)
    pack.__path__ = [str(root)]
    io = _Module(
        "io", Socket, Schema=Schema, Input=Input, ComfyNode=object, Custom=lambda _: Socket
    )
    api = _Module("comfy_api.latest", io=io, ComfyExtension=object)
    # Every function returns an empty list, so no machine's files are listed.
    internals = _Module(f"{PACK}.nodes.comfyui", list, control_category=lambda: "conditioning")
    modules = (pack, ModuleType("comfy_api"), api, internals)
    return {module.__name__: module for module in modules}
