"""The processes that `accelerate launch` or torchrun has started, set up by accelerate's config."""

import os
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from .processes import AcceleratedProcesses, Processes
from .sharded import ShardedProcesses

#: accelerate's name for a kind of distribution -> the class for it here.
KINDS: Mapping[str, Callable[[Any], Processes]] = {
    "NO": AcceleratedProcesses,
    "MULTI_GPU": AcceleratedProcesses,
    "MULTI_CPU": AcceleratedProcesses,
    "FSDP": ShardedProcesses,
}


def are_several() -> bool:
    """Whether a launcher has started more processes than this one."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def join_processes() -> Processes:
    """Returns the launched processes, including this one.

    Raises:
        ValueError: accelerate is missing, or its config asks for something unsupported.
    """
    try:
        accelerate: Any = import_module("accelerate")
        # The trainer itself casts by the run's settings, which accelerate's config would override.
        accelerator = accelerate.Accelerator(mixed_precision="no")
    except ImportError as error:
        raise ValueError(
            f"Training in several processes needs accelerate: pip install 'cnet-nodes[train]' ({error})."
        ) from error
    kind = str(accelerator.distributed_type).rpartition(".")[2]
    if kind not in KINDS:
        raise ValueError(
            f"accelerate is set to {kind}, which uses its own optimizer, so a run could not be resumed bit for bit; "
            "choose plain multi-GPU or FSDP (version 2) in `accelerate config`."
        )
    return KINDS[kind](accelerator)
