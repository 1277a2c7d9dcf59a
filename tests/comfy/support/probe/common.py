"""What the nodes of this pack have in common."""

import importlib.util
from pathlib import Path

import folder_paths
import torch

#: What was counted so far, by name.
COUNTS: dict[str, list] = {}


def of_library(file):
    """Returns a module of cnet_core that needs torch alone; ComfyUI's Python need not have the library."""
    path = Path(__file__).resolve().parents[4] / "cnet_core" / file
    spec = importlib.util.spec_from_file_location(f"probe_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generator(seed):
    """Returns a generator of random numbers of its own."""
    return torch.Generator().manual_seed(seed)


def folder():
    """Returns the folder for what tests read back."""
    found = Path(folder_paths.get_output_directory()) / "probe"
    found.mkdir(parents=True, exist_ok=True)
    return found


def node(returns=(), optional=None, always=False, **required):
    """Makes a node of a class with `run`: types of its outputs, and of its inputs by name.

    `always` has it run in every prompt, also when nothing has changed.
    """

    def typed(inputs):
        return {n: kind if isinstance(kind, tuple) else (kind, {}) for n, kind in inputs.items()}

    def decorate(cls):
        inputs = {"required": typed(required), "optional": typed(optional or {})}
        cls.INPUT_TYPES = classmethod(lambda cls: inputs)
        cls.RETURN_TYPES = returns
        cls.OUTPUT_NODE = not returns
        cls.FUNCTION = "run"
        cls.CATEGORY = "probe"
        if always:
            cls.IS_CHANGED = classmethod(lambda cls, **inputs: float("nan"))
        return cls

    return decorate


def wrapped(model, kind, wrapper):
    """Returns a clone of a MODEL with one more wrapper."""
    model = model.clone()
    model.add_wrapper_with_key(kind, f"probe {id(wrapper)}", wrapper)
    return model
