"""One process of a distributed run: `two_processes.py FILE`; the first writes the weights, each what it saw."""

import json
import sys
from pathlib import Path

import torch
from training_models import NoiseSamples, trainer

from cnet_core.checkpoints.files import write_tensors
from cnet_core.training.processes import AcceleratedProcesses

STEPS, SAMPLES = 20, 8
SETTINGS = {"batch_size": 4, "accumulation": 2, "learning_rate": 1e-4}


def samples() -> NoiseSamples:
    """Two steps an epoch; sides that leave more than one pixel at the deepest level, for batches of one."""
    return NoiseSamples(((64, 64),) * SAMPLES)


def main(path: Path) -> None:
    """Trains this process's part."""
    torch.set_num_threads(1)
    processes = AcceleratedProcesses()
    mine = samples()
    run = trainer(mine, processes=processes, **SETTINGS)
    for _ in range(STEPS):
        run.advance()
    (path.parent / f"seen_{processes.index}.json").write_text(json.dumps(mine.seen))
    if processes.index == 0:
        weights = {k: v.contiguous() for k, v in run.net.state_dict().items()}
        write_tensors(weights, path, {})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
