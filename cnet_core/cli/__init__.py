"""`cnet`: the command line. Every subcommand is a module here; `main` runs one."""

from .main import main

__all__ = ["main"]
