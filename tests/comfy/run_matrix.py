"""Our control beside every core node of a ComfyUI: `python tests/comfy/run_matrix.py COMFYUI PYTHON [NODE ...]`.

Prints one line for each node, mode and place, then the counts; exits with 1 if anything is wrong. It takes some
minutes; tests/comfy/test_matrix.py runs a sample.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from core_nodes import guider_nodes, model_nodes
from host import Host, Place
from matrix import LEFT_OUT, counted, examine, kinds_of, lines
from weights import write_models


def main(comfyui: str, python: str, *kinds: str) -> int:
    """Examines these nodes, or all."""
    outcomes = []
    with tempfile.TemporaryDirectory() as base:
        write_models(Path(base) / "models")
        comfy = Host(Place(Path(comfyui), python), Path(base))
        models, guiders = model_nodes(comfy.info), guider_nodes(comfy.info)
        for kind in kinds or kinds_of(comfy):
            found = examine(comfy, kind)
            print(*lines(found), sep="\n", flush=True)
            outcomes += found
        comfy.stop()
    print(*(f"left out  {kind}: {reason}" for kind, reason in LEFT_OUT.items()), sep="\n")
    print(f"{len(models)} nodes with a MODEL, {len(guiders)} guiders:", counted(outcomes))
    return int(any(outcome.verdict == "wrong" for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
