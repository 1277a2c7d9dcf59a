"""The subcommands of `cnet`: each module has `add_parser(subparsers)`, whose parser sets `run(args) -> exit status`."""

from . import demo

COMMANDS = (demo,)
