"""`cnet demo`: the embedded model, controlled in every way, in one contact sheet."""

import argparse
from typing import Any


def add_parser(subparsers: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command's arguments."""
    parser = subparsers.add_parser("demo", help="control the embedded model, no download")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs the demo and returns the exit status."""
    raise ValueError("not yet")
