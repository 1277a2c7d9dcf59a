"""Our control beside real packs: `run_packs.py --packs DIR --comfyui PATH [--comfyui-python PY] [PACK ...]`.

DIR holds a checkout of each pack, under its repository's name. Prints a table, and exits with 1 if anything is wrong.
Each pack gets a ComfyUI of its own, since some change ComfyUI itself. What is right is in support/pack_cases.py, and
in support/travelling_cases.py for control on the prompts.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))

import pack_cases
import travelling_cases
from host import Host, Place, version_of
from packs import HEAD, Case, Nodes, Outcome, commit_of, lines, outcomes
from weights import write_models

CASES = (*pack_cases.CASES, *travelling_cases.CASES)


def main() -> int:
    """Runs the cases of the packs that were named, or of all."""
    given = _arguments()
    place = Place(given.comfyui, given.comfyui_python)
    names = given.pack or list(dict.fromkeys(case.pack for case in CASES))
    there = [name for name in names if (given.packs / name).is_dir()]
    print(HEAD)
    rows: list[Outcome] = []
    for name in there:
        folder = given.packs / name
        facts = commit_of(folder), version_of(given.comfyui)
        for row in _run(place, folder, [case for case in CASES if case.pack == name]):
            rows.append(row)
            print(*lines([row], *facts), flush=True)
    print(*(f"not there: {name}" for name in names if name not in there), sep="\n")
    return int(not rows or any(row.verdict == "wrong" for row in rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pack", nargs="*", help="only these packs")
    parser.add_argument("--packs", type=Path, required=True, help="folder of their checkouts")
    parser.add_argument("--comfyui", type=Path, required=True)
    parser.add_argument("--comfyui-python", default=sys.executable)
    return parser.parse_args()


def _run(place: Place, folder: Path, cases: Sequence[Case | Nodes]) -> Iterator[Outcome]:
    """Gives what came of a pack's cases, all in one ComfyUI."""
    with tempfile.TemporaryDirectory() as base:
        write_models(Path(base) / "models")
        comfy = Host(place, Path(base), packs=[folder])
        try:
            yield from (outcome for case in cases for outcome in outcomes(comfy, case))
        finally:
            comfy.stop()


if __name__ == "__main__":
    sys.exit(main())
