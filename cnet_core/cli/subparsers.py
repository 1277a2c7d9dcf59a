"""Subparsers: what a command adds its parser to."""

import argparse
from typing import Protocol


class Subparsers(Protocol):
    """What `ArgumentParser.add_subparsers` returns, as far as the commands need it."""

    def add_parser(self, name: str, *, help: str, description: str) -> argparse.ArgumentParser: ...
