"""What the embedded world's recipe relies on: the weights' float32 copies, resumed loops, the pool, the files."""

import subprocess
from pathlib import Path

import compiling
import pytest
import torch
from fitting import Plan, WorldRun, fit
from part_files import export_parts, read_part, write_part
from samples import Pool, Samples
from torch import nn
from trained_weights import Weights

CPU = torch.device("cpu")
needs_muon = pytest.mark.skipif(
    not hasattr(torch.optim, "Muon"), reason="torch.optim.Muon needs torch 2.9 or newer."
)


def small_net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(4, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 32, 3, padding=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_the_weights_that_they_belong_to(dtype: torch.dtype) -> None:
    net, plain = small_net(1), small_net(1)
    x = torch.randn(2, 4, 8, 8)
    plain(x).square().sum().backward()
    weights = Weights.of(net, dtype)
    net(x.to(dtype).contiguous(memory_format=torch.channels_last)).float().square().sum().backward()
    weights.take_gradients()
    for kept, expected in zip(weights.kept, plain.parameters(), strict=True):
        assert kept.grad is not None
        assert kept.grad.is_contiguous()
        error = (kept.grad.view(expected.shape) - expected.grad).norm() / expected.grad.norm()
        assert error < (1e-5 if dtype == torch.float32 else 0.03)


def train(folder: Path, steps: int, stop_at: int | None = None, seed: int = 2) -> nn.Module:
    """Trains for a fixed number of steps, whatever they take; `stop_at` interrupts after a saved state."""
    net, generator = small_net(seed), torch.Generator().manual_seed(seed + 1)
    folder.mkdir(exist_ok=True)

    def loss_of(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        if step == steps:
            raise EOFError
        x = torch.randn(4, 4, 8, 8, generator=generator)
        return (net(x) - x.mean()).square().mean()

    plan = Plan(seconds=1e9, rate=1e-3, warmup=2, save_every=-1.0, plain=("0.",))
    with pytest.raises((KeyboardInterrupt, EOFError)):
        fit("net", net, loss_of, plan, WorldRun(folder, CPU), generator)
    return net


@needs_muon
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole", 6)
    train(tmp_path / "stopped", 6, stop_at=3)
    resumed = train(tmp_path / "stopped", 6, seed=9)  # all that it has comes from the saved state
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


class WatchedRun(WorldRun):
    """Fails when a state is saved that holds a weight or an average that is not finite."""

    def save(self, name: str, state: object) -> None:
        assert all(t.isfinite().all() for t in [*state["weights"], *state["average"]])
        super().save(name, state)


@needs_muon
def test_weights_that_are_not_finite_are_neither_saved_nor_kept(tmp_path: Path) -> None:
    net, generator = small_net(4), torch.Generator().manual_seed(5)

    def loss_of(step: int) -> torch.Tensor:
        broken = torch.nan if step == 2 else 1.0
        if step == 4:
            raise EOFError
        return net(torch.ones(1, 4, 8, 8)).square().mean() * broken

    plan = Plan(seconds=1e9, rate=1e-3, save_every=-1.0)
    with pytest.raises(EOFError):
        fit("net", net, loss_of, plan, WatchedRun(tmp_path, CPU), generator)
    assert all(p.isfinite().all() for p in net.parameters())


@needs_muon
def test_a_loss_that_stays_nan_ends_the_stage(tmp_path: Path) -> None:
    net, generator = small_net(4), torch.Generator().manual_seed(5)

    def loss_of(step: int) -> torch.Tensor:
        if step == 20:
            raise EOFError
        return net(torch.ones(1, 4, 8, 8)).mean() * torch.nan

    plan = Plan(seconds=1e9, rate=1e-3, save_every=-1.0)
    with pytest.raises(ArithmeticError, match="not finite, even after 8 halvings of the rate"):
        fit("net", net, loss_of, plan, WatchedRun(tmp_path, CPU), generator)


def test_a_resumed_stage_has_the_rest_of_its_time(tmp_path: Path) -> None:
    plan, run = Plan(seconds=100.0, rate=1e-3), WorldRun(tmp_path, CPU)
    assert plan.seconds_left("net", run) == 100.0
    run.save("net.pt", {"numbers": [5, 30.0, 1.0]})
    assert plan.seconds_left("net", run) == 70.0


def test_the_compiler_process_starts_only_for_stages_and_ends_when_it_must(tmp_path: Path) -> None:
    assert compiling.prepare({}, WorldRun(tmp_path, torch.device("cuda"))) is None
    process = subprocess.Popen(["sleep", "60"])
    assert compiling.finish(process, 0) is None
    assert process.returncode is not None  # it left no zombie


def test_the_pool_gives_new_samples_first_and_keeps_what_belongs_together() -> None:
    pool, generator = Pool(6), torch.Generator().manual_seed(0)

    def samples(*numbers: int) -> Samples:
        n = torch.tensor(numbers)
        return Samples(n.float().view(-1, 1, 1, 1), n, n + 10, n + 20, n.view(-1, 1))

    pool.mix(samples(0, 1, 2, 3), 4, generator)
    found = pool.mix(samples(4, 5, 6, 7), 8, generator)
    assert {4, 5, 6, 7} <= set(found.kind.tolist())
    assert not {0, 1} & set(found.kind.tolist())  # the oldest gave way
    assert torch.equal(found.colour, found.kind + 10)
    assert torch.equal(found.latents.flatten(), found.kind.float())


def test_parts_come_back_from_a_machine_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    base = {"unet.input_blocks.0.0.weight": 1.0, "unet.out.2.bias": 2.0, "text.positions": 3.0}
    for name, keys in {"base": base, "autoencoder": {"mean": 4.0}}.items():
        write_part(tmp_path, name, {k: torch.tensor([v]) for k, v in keys.items()})
    export_parts(tmp_path, out)
    assert len(list(out.iterdir())) == 3
    assert {k: float(v) for k, v in (read_part(out, "base") or {}).items()} == base
    assert read_part(out, "control_net") is None
