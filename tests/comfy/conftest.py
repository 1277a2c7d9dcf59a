"""One ComfyUI for all tests of this folder; without one they are skipped."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from host import Host
from weights import write_all, write_lora


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
    for folder in ("controlnet", "loras"):
        (base / "models" / folder).mkdir(parents=True)
    write_all(base / "models/controlnet")
    write_lora(base / "models/loras/random.safetensors")
    host = Host(Path(path), python or sys.executable, base)
    yield host
    host.stop()
