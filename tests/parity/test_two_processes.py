"""Two gloo processes of accelerate against one process: the same weights, and every sample once an epoch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import two_processes
from training_models import trainer

from cnet_core.checkpoints.files import read_tensors

pytest.importorskip("accelerate")


def launch(out: Path) -> None:
    """Runs both processes and waits for them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "ACCELERATE_USE_CPU": "true",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, two_processes.__file__, str(out)]
    processes = [
        subprocess.Popen(command, env={**shared, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(2)
    ]
    assert [p.wait(300) for p in processes] == [0, 0]


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    launch(tmp_path / "two.safetensors")
    alone = two_processes.samples()
    run = trainer(alone, **{**two_processes.SETTINGS, "accumulation": 4})
    for _ in range(two_processes.STEPS):
        run.advance()
    together, _ = read_tensors(tmp_path / "two.safetensors")
    for name, value in run.net.state_dict().items():
        torch.testing.assert_close(together[name], value, rtol=1e-3, atol=2e-5, msg=name)
    halves = [json.loads((tmp_path / f"seen_{rank}.json").read_text()) for rank in range(2)]
    per_epoch = two_processes.SAMPLES // 2
    for epoch in range(two_processes.STEPS // 2):
        part = slice(epoch * per_epoch, (epoch + 1) * per_epoch)
        seen = [index for half in halves for index in half[part]]
        assert sorted(seen) == list(range(two_processes.SAMPLES))


def test_sharded_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import accelerate

    from cnet_core.training.processes import AcceleratedProcesses

    class Sharded:
        distributed_type = accelerate.DistributedType.FSDP

    monkeypatch.setattr(accelerate, "Accelerator", Sharded)
    with pytest.raises(ValueError, match="accelerate is set to FSDP"):
        AcceleratedProcesses()
