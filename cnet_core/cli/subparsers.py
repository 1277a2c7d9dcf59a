"""Subparsers: the object that a command adds its parser to."""

import argparse
from typing import Protocol


class Subparsers(Protocol):
    """The result of `ArgumentParser.add_subparsers`, with the members that the commands need."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...
