"""`cnet identify`: shows what checkpoint files are and whether they load."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from ..checkpoints import Fingerprint, identify
from .sentence import sentence

if TYPE_CHECKING:
    from .subparsers import Subparsers


def add_parser(subparsers: "Subparsers") -> None:
    """Adds the command's arguments."""
    about = "show what checkpoint files are and whether they load"
    parser = subparsers.add_parser("identify", help=about, description=about)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a file or a diffusers folder")
    parser.add_argument("--json", action="store_true", help="print one JSON list")
    parser.add_argument("--deep", action="store_true", help="also read every weight")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Prints a report of each file; returns 0 if all are ControlNets that load, else 1."""
    found = [fingerprint for path in args.files if (fingerprint := _identify(path, args.deep))]
    if args.json:
        print(json.dumps([fingerprint.to_dict() for fingerprint in found], indent=2))
    else:
        for fingerprint in found:
            print(fingerprint)
    return 0 if len(found) == len(args.files) and all(f.loads for f in found) else 1


def _identify(path: str, deep: bool) -> Fingerprint | None:
    try:
        return identify(path, deep=deep)
    except OSError as error:
        print(f"cnet: {sentence(error)}", file=sys.stderr)
        return None
