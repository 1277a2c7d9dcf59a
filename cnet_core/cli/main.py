"""`cnet`: the command line. Every subcommand is a module of `cnet_core.cli`."""

import argparse
import sys
from collections.abc import Sequence

from . import bench, convert, demo, extract_lora, identify, merge, train, transfer
from .sentence import out_of_memory, sentence

#: Each has `add_parser(subparsers)`, whose parser sets `run(args) -> exit status`.
COMMANDS = (demo, identify, convert, transfer, extract_lora, merge, train, bench)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status: 0 success, 1 the job failed, 2 wrong usage.

    A failure is one clear sentence on stderr, without a traceback.
    """
    args = build_parser().parse_args(argv)
    try:
        return args.run(args)
    except (ValueError, OSError) as error:
        print(f"cnet: {sentence(error)}", file=sys.stderr)
        return 1
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        print(f"cnet: {sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cnet: interrupted.", file=sys.stderr)
        return 1


def build_parser() -> argparse.ArgumentParser:
    """Returns the parser of `cnet`, with every subcommand's."""
    parser = argparse.ArgumentParser(
        prog="cnet", description="ControlNet for any Stable Diffusion UNet."
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser
