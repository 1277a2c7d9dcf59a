"""A counter on the terminal, for work that takes a while."""

import sys
from collections.abc import Callable


def counter(what: str) -> Callable[[int, int], None]:
    """Returns a function of (done, in all) that keeps one line of stderr up to date; silent if that is no terminal."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            end = "\n" if done == total else ""
            print(f"\r{what} {done} / {total}", end=end, file=sys.stderr, flush=True)

    return show
