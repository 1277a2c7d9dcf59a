"""catch_interrupts: Ctrl-C asks a long command to save and end."""

import signal
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, cast


@contextmanager
def catch_interrupts() -> Generator[Callable[[], bool]]:
    """Yields a function that returns True after Ctrl-C; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def note(number: int, frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        print("\ncnet: saving; interrupt again to stop at once.", file=sys.stderr)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, cast(Any, handler))
