"""Two figures of the pack in a ComfyUI: `python tests/comfy/run_figures.py COMFYUI PYTHON`.

The pack's import time in ComfyUI's own list, and the embedded workflow from `POST /prompt` to the finished picture:
20 steps of 128 x 128 pixels, the median of some runs with another strength each, models loaded.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from graphs import Sampling
from host import REPOSITORY, Host, Place
from tiny_graph import SIDE, picture_graph

RUNS = 5


def main(comfyui: str, python: str) -> None:
    """Prints both."""
    for folder in ("nodes", "cnet_core"):  # as in every start but the first
        subprocess.run([python, "-m", "compileall", "-q", REPOSITORY / folder], check=True)
    with tempfile.TemporaryDirectory() as base:
        comfy = Host(Place(Path(comfyui), python), Path(base))
        print("import:", re.findall(r"([\d.]+) seconds.*custom_nodes/cnet", comfy.log), "s")
        how = Sampling(steps=20, cfg=7.5, side=SIDE)
        comfy.run(picture_graph({}, how))
        seconds = []
        for run in range(RUNS):
            begin = time.monotonic()
            comfy.run(picture_graph({"strength": 0.9 + run / 100}, how))
            seconds.append(time.monotonic() - begin)
        print(f"prompt to picture: median {statistics.median(seconds):.2f} s of", end=" ")
        print([round(value, 2) for value in seconds], "load average", os.getloadavg()[0])
        comfy.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
