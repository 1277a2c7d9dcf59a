"""The subcommands of `cnet`: each module has `add_parser(subparsers)`, whose parser sets `run(args) -> exit status`."""

import argparse
from typing import Protocol

from . import bench, convert, demo, extract_lora, identify, train, transfer


class Subparsers(Protocol):
    """What `ArgumentParser.add_subparsers` returns, as far as the commands need it."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...


COMMANDS = (demo, identify, convert, transfer, extract_lora, train, bench)
