"""The processes that `accelerate launch` or torchrun has begun, set up as accelerate's config says."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .processes import AcceleratedProcesses, Processes
from .sharded import ShardedProcesses

#: How accelerate calls what its config asks for -> what does it here.
KINDS: Mapping[str, Callable[[Any], Processes]] = {
    "NO": AcceleratedProcesses,
    "MULTI_GPU": AcceleratedProcesses,
    "MULTI_CPU": AcceleratedProcesses,
    "FSDP": ShardedProcesses,
}


def are_several() -> bool:
    """Whether a launcher has begun more processes than this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_processes() -> Processes:
    """Returns the launched processes, this one among them.

    Raises:
        ValueError: accelerate is missing, or its config asks for what is not supported.
    """
    try:
        accelerate: Any = import_module("accelerate")
        # The trainer casts by itself, as the run's settings say; accelerate's config would go before them.
        accelerator = accelerate.Accelerator(mixed_precision="no")
    except ImportError as error:
        raise ValueError(
            f"Training in several processes needs accelerate: pip install 'cnet-nodes[train]' ({error})."
        ) from error
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if kind not in KINDS:
        raise ValueError(
            f"accelerate is set to {kind}, which has an optimizer of its own, and a run could not be resumed bit for "
            "bit; choose plain multi-GPU or FSDP (version 2) in `accelerate config`."
        )
    return KINDS[kind](accelerator)
