"""What a user without rights on a file finds."""

import contextlib
import os
from collections.abc import Iterator

import pytest

#: The user who owns nothing, on Linux and macOS.
NOBODY = 65534

needs_rights = pytest.mark.skipif(
    not hasattr(os, "seteuid"), reason="a system without users' rights on files"
)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Lays down root's rights for a while: root may read everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
