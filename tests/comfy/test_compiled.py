"""A compiled ControlNet of ComfyUI's layers gives the same residuals, whatever ComfyUI does to its weights."""

import json
import os
import subprocess
from pathlib import Path

from host import Host

SCRIPT = Path(__file__).parent / "foreign" / "compile_script.py"


def test_loras_and_low_vram_count_and_do_not_compile_again(comfy: Host) -> None:
    command = [comfy.place.python, str(SCRIPT), str(comfy.place.comfyui)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert list(found) == ["at first", "again", "a LoRA", "low VRAM", "low VRAM, another size"]
    assert {case: result for case, result in found.items() if result != [True, 1]} == {}
