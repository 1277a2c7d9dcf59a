"""Our residuals against ComfyUI's cldm ControlNet and ControlLora, and our files in its loader.

Needs CNET_COMFYUI, a folder with ComfyUI, and its requirements. ComfyUI's modules take over names at the top level,
so each test runs in a process of its own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMFYUI = os.environ.get("CNET_COMFYUI")
pytestmark = pytest.mark.skipif(not COMFYUI, reason="CNET_COMFYUI names no ComfyUI folder")
SCRIPT = Path(__file__).with_name("comfyui_script.py")


@pytest.mark.parametrize(
    "case",
    [
        *("sd15", "sd21", "sdxl_full", "sdxl_mid", "sdxl_small", "union"),
        *("lora", "difference", "load_ldm", "load_diffusers", "embedded"),
    ],
)
def test_equal_to_comfyui(tmp_path: Path, case: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(COMFYUI), case, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
