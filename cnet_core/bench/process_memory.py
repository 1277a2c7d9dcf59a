"""Memory of this process as Linux counts it: its peak, and the part that no file backs."""

from pathlib import Path

PROCESS = Path("/proc/self")
#: Resets the kernel's peak of a process (man 5 proc, clear_refs).
FORGET_PEAK = "5"


def forget_peak() -> None:
    """Starts a new measurement of `peak`; without Linux it does nothing."""
    if (PROCESS / "clear_refs").exists():
        (PROCESS / "clear_refs").write_text(FORGET_PEAK)


def peak() -> int | None:
    """Returns the peak of bytes in use since `forget_peak`, pages of mapped files among them; None without Linux."""
    return _status("VmHWM")


def in_use() -> int | None:
    """Returns the bytes in use now, pages of mapped files among them; None without Linux."""
    return _status("VmRSS")


def private() -> int | None:
    """Returns the bytes in use that no file backs, which the system cannot drop; None without Linux."""
    return _status("RssAnon")


def _status(name: str) -> int | None:
    path = PROCESS / "status"
    lines = path.read_text().splitlines() if path.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), None)
