"""Our linear layers give what ComfyUI's give, also where they take another product, whatever is done to the weights."""

import subprocess
from pathlib import Path

from host import Host

SCRIPT = Path(__file__).parent / "support" / "layers_script.py"


def test_linear_layers_are_equal_to_comfyuis(comfy: Host) -> None:
    done = subprocess.run(
        [comfy.place.python, SCRIPT, comfy.place.comfyui],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
