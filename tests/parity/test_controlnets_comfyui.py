"""Our residuals against ComfyUI's cldm ControlNet and ControlLora, and our files in its loader.

Needs `--comfyui FOLDER`, and `--comfyui-python` unless this Python has its requirements. ComfyUI's modules take over
names at the top level, so each test runs in a process of its own.
"""

import os
import subprocess
from pathlib import Path

import pytest
from host import Place, version_of
from places import places_of

ROOT = Path(__file__).parents[2]
CASES = (
    *("sd15", "sd21", "sdxl_full", "sdxl_mid", "sdxl_small", "union"),
    *("lora", "trained_lora", "controlnet_lora", "difference"),
    *("load_ldm", "load_diffusers", "embedded"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs every case in every ComfyUI that was given."""
    places = places_of(metafunc.config) or [None]
    names = ["none" if place is None else version_of(place.comfyui) for place in places]
    metafunc.parametrize("place", places, ids=names)


@pytest.mark.parametrize("case", CASES)
def test_equal_to_comfyui(tmp_path: Path, place: Place | None, case: str) -> None:
    if place is None:
        pytest.skip("no ComfyUI: give --comfyui PATH or set CNET_COMFYUI")
    (tmp_path / "library").mkdir()  # the library alone: our `nodes` would hide ComfyUI's
    (tmp_path / "library" / "cnet_core").symlink_to(ROOT / "cnet_core")
    done = subprocess.run(
        [
            place.python,
            Path(__file__).with_name("comfyui_script.py"),
            place.comfyui,
            case,
            tmp_path,
        ],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": f"{tmp_path / 'library'}:{ROOT / 'tests' / 'support'}"},
    )
    assert done.returncode == 0, done.stderr[-2000:]
