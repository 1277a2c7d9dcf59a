"""resolve_device: what `--device` names."""

import torch


def resolve_device(name: str) -> str:
    """Returns the name of a device that computes here.

    Raises:
        ValueError: torch does not know it, was built without it, or does not find it on this machine.
    """
    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"`--device` is {name!r}: {str(error).splitlines()[0]}") from error
    return name
