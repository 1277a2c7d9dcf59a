"""The trainer: which tensors learn when, the locked UNet, prompt dropout, accumulation, precision, exact resume."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from training_models import NoiseSamples, SmallBase, source, trainer, weights

import cnet_core as cn
from cnet_core.checkpoints.container.files import write_tensors
from cnet_core.tiny.training import TinyBase, TinySamples
from cnet_core.training import Trainer, TrainingSettings
from cnet_core.training.base import Text
from cnet_core.training.folder import RunFolder
from cnet_core.training.order import SampleOrder, Visit
from cnet_core.training.preview import Preview
from cnet_core.training.source import TrainingSource
from cnet_core.training.step import losses, make_noisy_batch

#: Parameters of the 13 zero convs: a weight and a bias each.
ZERO_CONVS = 26


def learning(net: cn.ControlNet) -> set[str]:
    return {n for n, p in net.named_parameters() if p.grad is not None and bool(p.grad.any())}


def test_gradients_reach_the_zero_convs_then_the_copy_then_the_hint_encoder() -> None:
    run = trainer(precision="fp32")
    hint_encoder = {n for n, _ in run.net.named_parameters() if n.startswith("input_hint_block")}
    last = {n for n in hint_encoder if n.startswith("input_hint_block.14")}
    run.advance()
    first = learning(run.net)
    assert len(first) == ZERO_CONVS
    assert all(name.startswith(("zero_convs.", "middle_block_out.")) for name in first)
    run.advance()
    second = learning(run.net)
    everything = {n for n, _ in run.net.named_parameters()}
    assert second == everything - (hint_encoder - last)
    run.advance()
    assert learning(run.net) == everything


def test_the_locked_unet_has_no_gradients_and_stays_as_it_was() -> None:
    run = trainer()
    before = {k: v.clone() for k, v in run.base.unet.state_dict().items()}
    for _ in range(3):
        run.advance()
    assert all(p.grad is None for p in run.base.unet.parameters())
    after = run.base.unet.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())


def test_a_resumed_run_is_the_same_bit_for_bit() -> None:
    settings = {"ema": 0.9, "flip": True, "accumulation": 2, "warmup": 2}
    whole = trainer(**settings)
    for _ in range(4):  # an epoch has three
        whole.advance()
    first = trainer(**settings)
    first.advance()
    state = first.state()
    kept = type(state)(state.step, {k: v.clone() for k, v in state.tensors.items()}, state.scaler)
    first.advance()
    second = trainer(**settings)
    second.restore(kept)
    for _ in range(3):
        second.advance()
    assert second.step == whole.step
    for ours, theirs in ((second.net, whole.net), (second.result, whole.result)):
        assert all(
            torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
        )


def test_pieces_of_a_batch_give_the_gradient_of_the_batch() -> None:
    sizes = ((64, 64),) * 4  # one row alone needs more than one pixel at the deepest level
    whole, pieces = trainer(NoiseSamples(sizes)), trainer(NoiseSamples(sizes), accumulation=4)
    for run in (whole, pieces):
        run.advance()
    for a, b in zip(whole.net.parameters(), pieces.net.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_gradient_checkpointing_changes_nothing() -> None:
    plain, checkpointed = trainer(), trainer(gradient_checkpointing=True)
    for run in (plain, checkpointed):
        for _ in range(3):
            run.advance()
    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.net.parameters(), checkpointed.net.parameters(), strict=True)
    )


def test_a_resumed_fp16_run_keeps_its_loss_scale() -> None:
    """The first two steps overflow at this scale: they change nothing but the scale."""
    whole, first, second = (trainer(precision="fp16", batch_size=2) for _ in range(3))
    fresh = weights(second.net)
    for run in (whole, first):
        run._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**22)
        for _ in range(2):
            run.advance()
    state = first.state()
    assert state.scaler["scale"] == 2.0**20
    assert all(torch.equal(state.tensors[f"net.{key}"], value) for key, value in fresh.items())
    second.restore(state)
    for run in (whole, second):
        run.advance()
    assert second.state().scaler == whole.state().scaler
    after = weights(second.net)
    assert all(torch.equal(after[key], value) for key, value in weights(whole.net).items())
    assert not all(torch.equal(after[key], value) for key, value in fresh.items())


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_nets_in_half_precision_are_read_and_drawn_outside_autocast_too(precision: str) -> None:
    held_out = NoiseSamples(((64, 64),) * 2)
    run, place = trainer(held_out, precision=precision, batch_size=2), source()
    run.advance()
    meter = TrainingSource(run.base, held_out, held_out, place.preview).meter(run.settings)
    fresh = meter.read(trainer().net, 0)
    assert fresh.effect == 0
    with run.autocast():
        within = meter.read(run.net, 1)
    assert meter.read(run.net, 1).loss == pytest.approx(within.loss, rel=1e-3)
    drawn = Preview(run.base, torch.rand(1, 3, 64, 64), ("a",), steps=2, cfg_scale=2.0)
    assert bool(drawn.draw(run.net).isfinite().all())


@pytest.mark.parametrize("precision", ["bf16", "fp16", "fp32"])
def test_the_net_is_kept_in_float32_and_the_unet_in_the_precision(precision: str) -> None:
    run = trainer(precision=precision)
    loss = run.advance()
    expected = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]
    assert {p.dtype for p in run.net.parameters()} == {torch.float32}
    assert {p.dtype for p in run.base.unet.parameters()} == {expected}
    assert bool(loss.isfinite())


@pytest.mark.parametrize(("dropout", "dropped"), [(0.0, 0), (0.5, None), (1.0, 400)])
def test_prompts_are_dropped_anew_at_every_visit(dropout: float, dropped: int | None) -> None:
    base, samples = SmallBase(), NoiseSamples(((8, 8),) * 4)
    asked: list[list[bool]] = []

    def text(prompts: Sequence[str], height: int, width: int) -> Text:
        asked.append([p == "" for p in prompts])
        return Text(torch.zeros(len(prompts), 4, 8))

    base.text = text  # type: ignore[method-assign]
    samples._hint = lambda index, flip: torch.zeros(1, 3, 8, 8)  # type: ignore[method-assign]
    order = SampleOrder(samples.sizes, 4, 7)
    for step in range(100):
        make_noisy_batch(base, samples, order.batch(step), dropout, False)
    count = sum(map(sum, asked))
    assert 140 < count < 260 if dropped is None else count == dropped
    assert dropped is not None or len({tuple(row) for row in asked}) > 4


def test_the_average_follows_the_weights_and_is_the_result() -> None:
    run = trainer(ema=0.5)
    start = weights(run.net)
    run.advance()
    decay = run.settings.ema_decay(1)
    for name, value in run.result.state_dict().items():
        expected = start[name].lerp(run.net.state_dict()[name], 1 - decay)
        torch.testing.assert_close(value, expected)
    assert run.result is not run.net


def test_the_same_seed_gives_the_same_start() -> None:
    torch.manual_seed(1)
    a = trainer(seed=5).net
    torch.manual_seed(2)
    b, c = trainer(seed=5).net, trainer(seed=6).net
    first = "input_hint_block.0.weight"
    assert torch.equal(a.state_dict()[first], b.state_dict()[first])
    assert not torch.equal(a.state_dict()[first], c.state_dict()[first])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("prompt_dropout", 1.5),
        ("hint_init", "xavier"),
        ("min_snr", -1.0),
        ("ema", 1.0),
        ("precision", "fp8"),
        ("seed", -1),
        ("accumulation", 3),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"`{name}`"):
        TrainingSettings(**{name: value})


def test_a_batch_that_cannot_be_cut_is_refused() -> None:
    from cnet_core.training.processes import share_of

    with pytest.raises(ValueError, match="multiple of processes x accumulation"):
        share_of(range(6), 0, 2, 2)


def test_a_state_of_another_net_is_refused() -> None:
    state = trainer().state()
    broken = {k: v for k, v in state.tensors.items() if "middle_block_out" not in k}
    with pytest.raises(ValueError, match="does not fit"):
        trainer().restore(type(state)(1, broken, {}))


def test_a_parameter_without_gradients_so_far_does_not_keep_a_run_from_going_on() -> None:
    whole, first, second = trainer(), trainer(), trainer()
    for run in (whole, first, second):
        run.net.time_embed[0].bias.requires_grad_(False)
    whole.advance()
    first.advance()
    second.restore(first.state())
    whole.advance()
    second.advance()
    after = weights(second.net)
    assert all(torch.equal(after[key], value) for key, value in weights(whole.net).items())


def test_a_file_that_is_no_checkpoint_of_a_run_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "checkpoints").mkdir()
    write_tensors({"a": torch.zeros(1)}, tmp_path / "checkpoints" / "step_00000001.safetensors", {})
    with pytest.raises(ValueError, match="holds no complete checkpoint"):
        RunFolder(tmp_path).state()
    assert "step_00000001.safetensors: it does not name its step" in caplog.text


def test_v_prediction_trains_too() -> None:
    from cnet_core.training import Objective

    base = SmallBase(objective=Objective("v_prediction"))
    numbers = {"batch_size": 2, "learning_rate": 1e-3, "min_snr": 5.0}
    run = Trainer(base, NoiseSamples(), TrainingSettings(**numbers))
    assert bool(run.advance().isfinite())
    assert len(learning(run.net)) == ZERO_CONVS


def test_the_embedded_bases_texts_follow_its_unet_to_another_device() -> None:
    """The meta device, whose tensors go with no other device's."""
    base = TinyBase.load()
    base.unet.to("meta")
    samples = TinySamples(base.autoencoder, 32)
    batch = make_noisy_batch(base, samples, [Visit(0, "first", 0)], 0.0, flip=True)
    found = losses(cn.ControlNet(base.unet.config).to("meta"), base, batch)
    assert found.device.type == "meta"
