"""What a real training step takes on a CPU, against what is counted: `python docs/lab/studies/real_step.py [SIDE]`.

One step of SD1.5 at batch 1 in bf16 with gradient checkpointing. It needs 9 GiB and a minute or two.
"""

import resource
import sys

import torch

import cnet_core as cn
from cnet_core.bench.training_memory import GIB, WAYS, count_step, measure_step

WAY = "bf16, checkpointed"
#: Linux counts in KiB, macOS in bytes.
UNIT = 1 if sys.platform == "darwin" else 1024


def main(side: int = 512) -> None:
    """Takes the step and prints by how much this process grew, and what is counted."""
    torch.set_num_threads(1)
    counted = count_step(WAYS[WAY], cn.SD15, side, 1).peak / GIB
    before = _most_memory()
    measured = measure_step(WAYS[WAY], cn.SD15, side, 1).peak / GIB
    print(
        f"SD1.5, {side} px, {WAY}: the process grew by {_most_memory() - before:.2f} GiB; tensors held "
        f"{measured:.2f}, and {counted:.2f} were counted."
    )


def _most_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT / GIB


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
