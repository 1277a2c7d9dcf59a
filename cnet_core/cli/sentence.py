"""The sentence for a failure on the command line."""

import torch

#: Parts of torch's RuntimeErrors for missing memory: of the CPU, and of devices without their own type of error.
_LACKS = ("can't allocate memory", "not enough memory", "out of memory")


def sentence(error: Exception) -> str:
    """Returns an error as one sentence on one line."""
    if out_of_memory(error):
        return (
            f"Out of memory; use smaller pictures or a smaller batch. {_first_line(error)}"
        ).rstrip()
    if isinstance(error, OSError) and error.strerror:
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}."
    return " ".join(str(error).split())


def out_of_memory(error: Exception) -> bool:
    """Returns whether an error means that RAM or GPU memory ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _LACKS)


def _first_line(error: Exception) -> str:
    return "".join(str(error).strip().splitlines()[:1])
