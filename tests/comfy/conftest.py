"""One ComfyUI for all tests of this folder; without one they are skipped."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import Host
from weights import write_all


@pytest.fixture(scope="session")
def comfy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """A running ComfyUI with our pack, the probe nodes and random ControlNet files."""
    path = request.config.getoption("--comfyui") or os.environ.get("CNET_COMFYUI")
    if not path:
        pytest.skip("no ComfyUI: give --comfyui PATH or set CNET_COMFYUI")
    python = request.config.getoption("--comfyui-python") or os.environ.get("CNET_COMFYUI_PYTHON")
    base = tmp_path_factory.mktemp("comfyui")
    (base / "models/controlnet").mkdir(parents=True)
    write_all(base / "models/controlnet")
    host = Host(Path(path), python or sys.executable, base)
    yield host
    host.stop()
