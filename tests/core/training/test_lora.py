"""Training with `lora_rank`: step 0 is the base, what learns, a run that continues bit for bit, and its files."""

from pathlib import Path

import pytest
import torch
from fakes import call_inputs, random_hint, small_net
from training_models import NoiseSamples, SmallBase, source, trainer, weights

import cnet_core as cn
from cnet_core.checkpoints.low_rank import merge_lora
from cnet_core.nets.low_rank import LowRankControlNet, merge_low_rank
from cnet_core.training import Trainer, TrainingSettings
from cnet_core.training.folder import RESULT, RunFolder
from cnet_core.training.start import load_start

SETTINGS = {"lora_rank": 4, "batch_size": 2}


def residuals(net: cn.ControlNet) -> tuple[torch.Tensor, ...]:
    x, timesteps, context = call_inputs()
    with torch.no_grad():
        return net(x, random_hint(), timesteps, context).blocks


def assert_near(net: cn.ControlNet, expected: cn.ControlNet) -> None:
    """Residuals equal to 1e-5 of the largest."""
    for found, wanted in zip(residuals(net), residuals(expected), strict=True):
        assert float((found - wanted).abs().max()) <= 1e-5 * float(wanted.abs().max())


def take_steps(run: Trainer, count: int) -> Trainer:
    for _ in range(count):
        run.advance()
    return run


def trainer_from(path: Path, base: SmallBase) -> Trainer:
    settings = TrainingSettings(**SETTINGS, learning_rate=1e-3, warmup=0)
    return Trainer(base, NoiseSamples(), settings, net=load_start(path, base.unet))


def test_a_fresh_run_changes_nothing_at_step_0() -> None:
    run = trainer(**SETTINGS, precision="bf16")
    assert not any(bool(residual.any()) for residual in residuals(run.net))
    meter = source().meter(run.settings)
    assert meter.read(run.net, 0).effect == 0


def test_a_run_on_a_control_net_begins_with_its_residuals(tmp_path: Path) -> None:
    cn.save_controlnet(small_net(), tmp_path / "net.safetensors")
    run = trainer_from(tmp_path / "net.safetensors", SmallBase())
    pairs = zip(residuals(run.net), residuals(small_net()), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_only_what_learns_gets_gradients_and_moves() -> None:
    run = trainer(**SETTINGS)
    before = weights(run.net)
    take_steps(run, 3)
    moved = {name for name, value in run.net.state_dict().items() if (value != before[name]).any()}
    assert isinstance(run.net, LowRankControlNet)
    assert moved == run.net.learned.keys()
    assert all(p.grad is None for p in run.net.parameters() if not p.requires_grad)
    assert run.state().tensors.keys() >= {f"net.{name}" for name in run.net.learned}
    assert len([k for k in run.state().tensors if k.startswith("net.")]) == len(run.net.learned)


def test_a_resumed_run_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    whole, first, second = (trainer(**SETTINGS, ema=0.9, flip=True) for _ in range(3))
    take_steps(whole, 3)
    take_steps(first, 2)
    folder = RunFolder(tmp_path)
    folder.begin({})
    folder.save(first.state(), first.result)
    state = folder.state()
    assert state is not None
    second.restore(state)
    take_steps(second, 1)
    for ours, theirs in ((second.net, whole.net), (second.result, whole.result)):
        expected = weights(theirs)
        assert all(torch.equal(value, expected[name]) for name, value in weights(ours).items())


def test_the_file_of_a_fresh_run_is_a_control_lora_of_its_base(tmp_path: Path) -> None:
    run = take_steps(trainer(**SETTINGS), 2)
    folder = RunFolder(tmp_path)
    folder.begin({})
    folder.save(run.state(), run.result)
    found = cn.load_controlnet(tmp_path / RESULT, base=run.base.unet)
    assert_near(found, run.net)
    assert_near(merge_low_rank(run.net), run.net)


def test_the_file_of_a_run_on_a_control_net_merges_into_what_was_trained(tmp_path: Path) -> None:
    start = tmp_path / "net.safetensors"
    cn.save_controlnet(small_net(), start)
    run = take_steps(trainer_from(start, SmallBase()), 2)
    folder = RunFolder(tmp_path / "run")
    folder.begin({})
    folder.save(run.state(), run.result)
    merged = merge_lora(start, folder.path / RESULT)
    assert_near(merged, run.net)
    assert any(
        (a != b).any() for a, b in zip(residuals(merged), residuals(small_net()), strict=True)
    )


def test_sharded_weights_are_refused() -> None:
    class Sharded:
        sharded, device = True, torch.device("cpu")

    with pytest.raises(ValueError, match="`lora_rank` is 4, but the weights are sharded"):
        trainer(processes=Sharded(), lora_rank=4)
