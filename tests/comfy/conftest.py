"""The ComfyUIs that the tests of this folder run in, each once; without any they are skipped."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import Host, Place, version_of
from weights import write_models


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs every test in every ComfyUI that was given."""
    if "comfy" in metafunc.fixturenames:
        places = _places(metafunc.config) or [None]
        names = ["none" if place is None else version_of(place.comfyui) for place in places]
        metafunc.parametrize("comfy", places, ids=names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def comfy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """A running ComfyUI with our pack, the probe nodes and random ControlNet files."""
    if request.param is None:
        pytest.skip("no ComfyUI: give --comfyui PATH or set CNET_COMFYUI")
    base = tmp_path_factory.mktemp("comfyui")
    write_models(base / "models")
    host = Host(request.param, base)
    yield host
    host.stop()


def _places(config: pytest.Config) -> list[Place]:
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
