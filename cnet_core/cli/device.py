"""resolve_device: checks the value of `--device`."""

import torch


def resolve_device(name: str) -> str:
    """Returns the name of a device that works on this machine.

    Raises:
        ValueError: torch does not know the device, was built without it, or does not find it on this machine.
    """
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`--device` is {name!r}: {str(error).splitlines()[0]}") from error
    return name
