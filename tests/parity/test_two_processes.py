"""Two gloo processes of accelerate, whole and sharded, against one process: the same weights, every sample once."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import two_processes
from training_models import trainer

import cnet_core as cn
from cnet_core.nets.low_rank import LowRankControlNet, merge_low_rank
from cnet_core.training import Trainer
from cnet_core.training.folder import RESULT, RunFolder
from cnet_core.training.launcher import join_processes
from cnet_core.training.processes import AcceleratedProcesses
from cnet_core.training.sharded import ShardedProcesses

accelerate = pytest.importorskip("accelerate")


def launch(kind: str, out: Path) -> list[dict[str, Any]]:
    """Runs both processes, waits for them, and returns what each wrote down."""
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
    command = [sys.executable, two_processes.__file__, kind, str(out)]
    processes = [
        subprocess.Popen(command, env={**shared, "RANK": str(r), "LOCAL_RANK": str(r)})
        for r in range(2)
    ]
    assert [p.wait(300) for p in processes] == [0, 0]
    return [json.loads((out / f"process_{rank}.json").read_text()) for rank in range(2)]


def read_result(path: Path, run: Trainer) -> dict[str, torch.Tensor]:
    """The weights in the file of a run's result; a Control-LoRA's with the run's base."""
    base = run.base.unet if run.settings.lora_rank else None
    return cn.load_controlnet(path, base=base).state_dict()


def whole_weights(net: cn.ControlNet) -> dict[str, torch.Tensor]:
    """The weights of a net, merged if it is of low rank."""
    return (merge_low_rank(net) if isinstance(net, LowRankControlNet) else net).state_dict()


def train_alone(kind: str) -> Trainer:
    """A run in one process."""
    settings = {**two_processes.SETTINGS, **two_processes.KINDS[kind], "accumulation": 4}
    return two_processes.steps(trainer(two_processes.samples(), **settings), two_processes.STEPS)


@pytest.fixture(scope="module")
def alone() -> Trainer:
    """A run of the whole net."""
    return train_alone("plain")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "share"), [("plain", 1.0), ("sharded", 0.5), ("lora", 1.0)])
def test_two_processes_learn_what_one_learns(
    kind: str, share: float, alone: Trainer, tmp_path: Path
) -> None:
    """Resumed halfway, each sample seen once an epoch; `share`: what each holds of the weights."""
    halves = launch(kind, tmp_path)
    alone = train_alone(kind) if kind == "lora" else alone
    state = RunFolder(tmp_path).state()
    assert state is not None
    assert state.step == two_processes.STEPS
    for name, value in alone.state().tensors.items():
        close = {"rtol": 1e-3, "atol": 2e-5}
        torch.testing.assert_close(state.tensors[name], value, **close, msg=name)
    result = read_result(tmp_path / RESULT, alone)
    for name, value in whole_weights(alone.result).items():
        torch.testing.assert_close(result[name], value, rtol=1e-3, atol=2e-5, msg=name)
    assert sum(len(half["seen"]) for half in halves) == 4 * two_processes.STEPS
    per_epoch = two_processes.SAMPLES // 2
    for epoch in range(two_processes.STEPS // 2):
        part = slice(epoch * per_epoch, (epoch + 1) * per_epoch)
        seen = [index for half in halves for index in half["seen"][part]]
        assert sorted(seen) == list(range(two_processes.SAMPLES))
    whole = sum(p.numel() for p in alone.net.parameters())
    assert [half["held"] / whole for half in halves] == pytest.approx([share] * 2, abs=0.02)


@dataclass
class Fake:
    """What accelerate finds in its config."""

    distributed_type: accelerate.DistributedType
    state: SimpleNamespace = field(
        default_factory=lambda: SimpleNamespace(
            fsdp_plugin=SimpleNamespace(
                fsdp_version=2, reshard_after_forward=True, cpu_offload=None
            )
        )
    )
    device: torch.device = torch.device("cpu")  # noqa: RUF009
    num_processes: int = 2
    process_index: int = 1


def test_the_config_of_accelerate_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = accelerate.DistributedType
    for kind, expected in (
        (kinds.MULTI_GPU, AcceleratedProcesses),
        (kinds.MULTI_CPU, AcceleratedProcesses),
        (kinds.FSDP, ShardedProcesses),
    ):
        monkeypatch.setattr(accelerate, "Accelerator", lambda kind=kind, **_: Fake(kind))
        assert type(join_processes()) is expected


def test_the_precision_is_the_runs_own_and_not_that_of_the_config(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    join_processes()
    found = accelerate.state.AcceleratorState().mixed_precision
    accelerate.state.AcceleratorState._reset_state(reset_partial_state=True)
    assert found == "no"


def test_what_is_not_supported_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = accelerate.DistributedType
    monkeypatch.setattr(accelerate, "Accelerator", lambda **_: Fake(kinds.DEEPSPEED))
    with pytest.raises(ValueError, match="accelerate is set to DEEPSPEED"):
        join_processes()
    old = Fake(kinds.FSDP)
    old.state.fsdp_plugin.fsdp_version = 1
    with pytest.raises(ValueError, match="`fsdp_version` is 1; set it to 2"):
        ShardedProcesses(old)
    with pytest.raises(ValueError, match="with sharded weights use 'bf16'"):
        trainer(processes=ShardedProcesses(Fake(kinds.FSDP)), precision="fp16")
