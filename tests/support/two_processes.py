"""One process of a distributed run: `two_processes.py KIND FOLDER`, KIND one of KINDS.

Half of the steps are taken by one trainer, the others by a second one, from what the first saved. The first process
writes the weights, each what it saw.
"""

import json
import sys
from pathlib import Path

import torch
from training_models import NoiseSamples, trainer

from cnet_core.training.folder import RunFolder
from cnet_core.training.launcher import join_processes
from cnet_core.training.sharded import ShardedProcesses
from cnet_core.training.trainer import Trainer

STEPS, SAMPLES = 8, 8
SETTINGS = {"batch_size": 4, "accumulation": 2, "learning_rate": 1e-4, "ema": 0.5}
#: Kind -> what its settings add.
KINDS: dict[str, dict[str, int]] = {"plain": {}, "sharded": {}, "lora": {"lora_rank": 4}}


def samples() -> NoiseSamples:
    """Two steps an epoch; sides that leave more than one pixel at the deepest level, for batches of one."""
    return NoiseSamples(((64, 64),) * SAMPLES)


def main(kind: str, path: Path) -> None:
    """Trains this process's part."""
    torch.set_num_threads(1)
    processes, mine, folder = join_processes(), samples(), RunFolder(path)
    if kind == "sharded":  # accelerate itself heeds its FSDP settings on GPUs alone
        processes = ShardedProcesses(processes._accelerator)
    settings = {**SETTINGS, **KINDS[kind]}
    run = steps(trainer(mine, processes=processes, **settings), STEPS // 2)
    save(run, folder)
    again = trainer(mine, processes=processes, **settings)
    state = folder.state()
    assert state is not None
    again.restore(state)
    save(steps(again, STEPS // 2), folder)
    held = sum(local(p).numel() for p in again.net.parameters())
    seen = {"seen": mine.seen, "held": held}
    (path / f"process_{processes.index}.json").write_text(json.dumps(seen))


def steps(run: Trainer, count: int) -> Trainer:
    """Takes steps."""
    for _ in range(count):
        run.advance()
    return run


def save(run: Trainer, folder: RunFolder) -> None:
    """Saves in the first process; the others wait for it."""
    state, result = run.state(), run.result
    if run.processes.index == 0:
        folder.save(state, result)
    run.processes.any(False)


def local(tensor: torch.Tensor) -> torch.Tensor:
    """What this process holds of a tensor."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
