"""Our control beside every core node of a ComfyUI: `python tests/comfy/run_matrix.py COMFYUI PYTHON [NODE ...]`.

Prints one line for each node, mode and place, then the counts; exits with 1 if anything is wrong. All nodes take half
an hour: `--begin NODE` begins with this one, `--place conds` leaves out the control on the MODEL.
tests/comfy/test_matrix.py runs a sample.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

from core_nodes import guider_nodes, model_nodes
from host import Host, Place
from matrix import LEFT_OUT, PLACES, counted, examine, kinds_of, lines
from weights import write_models


def main() -> int:
    """Examines the nodes that were named, or all, or all from one on."""
    given = _arguments()
    outcomes = []
    with tempfile.TemporaryDirectory() as base:
        write_models(Path(base) / "models")
        comfy = Host(Place(given.comfyui, given.python), Path(base))
        models, guiders = model_nodes(comfy.info), guider_nodes(comfy.info)
        kinds = kinds_of(comfy)
        for kind in given.node or kinds[kinds.index(given.begin) if given.begin else 0 :]:
            found = examine(comfy, kind, given.place or PLACES)
            print(*lines(found), sep="\n", flush=True)
            outcomes += found
        comfy.stop()
    print(*(f"left out  {kind}: {reason}" for kind, reason in LEFT_OUT.items()), sep="\n")
    print(f"{len(models)} nodes with a MODEL, {len(guiders)} guiders:", counted(outcomes))
    return int(any(outcome.verdict == "wrong" for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("comfyui", type=Path)
    parser.add_argument("python", help="the Python that has its requirements")
    parser.add_argument("node", nargs="*", help="only these nodes")
    parser.add_argument("--begin", metavar="NODE", help="without names: this node and all after it")
    parser.add_argument("--place", nargs="+", choices=PLACES, help="where ours is; without it, all")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
