"""Which ComfyUIs a test run was given."""

import os
import sys
from pathlib import Path

import pytest
from host import Place


def places_of(config: pytest.Config) -> list[Place]:
    """Returns the ComfyUIs of the command line, else of the environment, each with its Python."""
    trees = _given(config, "--comfyui", "CNET_COMFYUI")
    pythons = _given(config, "--comfyui-python", "CNET_COMFYUI_PYTHON") or [sys.executable]
    if len(pythons) not in (1, len(trees)) and trees:
        raise pytest.UsageError(
            f"--comfyui-python was given {len(pythons)} times: give it once, or for each of the {len(trees)} --comfyui"
        )
    pythons = pythons * len(trees) if len(pythons) == 1 else pythons
    return [Place(Path(tree), python) for tree, python in zip(trees, pythons, strict=True)]


def _given(config: pytest.Config, option: str, variable: str) -> list[str]:
    named = os.environ.get(variable, "").split(os.pathsep)
    return config.getoption(option) or [name for name in named if name]
