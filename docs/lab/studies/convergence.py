"""Trains the embedded model's ControlNet and writes down, every 50 steps, what the net does and what its gradients say.

    python docs/lab/studies/convergence.py --out DIR --init released --seed 0 --until 0.7

One line of JSON per reading: the meter's figures, the adherence, what enters the hint encoder's last convolution, and,
with --gradients, how much of each layer's gradient tells one hint from another. docs/lab/studies/plot_convergence.py
draws what is in docs/convergence.md.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from cnet_core import ControlNet
from cnet_core.tiny.training import Adherence, TinyBase, TinySamples
from cnet_core.training import ConvergenceMeter, Trainer, TrainingSettings
from cnet_core.training.order import SampleOrder
from cnet_core.training.step import NoisyBatch, losses, make_noisy_batch

EVERY = 50
HELD_OUT = 32
GRADIENT_BATCHES, GRADIENT_BATCH_SIZE = 8, 8


def main() -> None:
    """Runs one training of the study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--init", choices=("balanced", "released"), required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--dropout", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=1500, help="at most")
    parser.add_argument("--until", type=float, default=2.0, help="stop at this adherence")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--beta2", type=float, default=0.999)
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--gradients", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = TinyBase.load()
    settings = TrainingSettings(
        batch_size=args.batch,
        learning_rate=args.rate,
        beta2=args.beta2,
        warmup=args.warmup,
        prompt_dropout=args.dropout,
        hint_init=args.init,
        seed=args.seed,
    )
    trainer = Trainer(base, TinySamples(base.autoencoder, args.side), settings)
    args.out.mkdir(parents=True, exist_ok=True)
    name = f"{args.init}_dropout{args.dropout}_rate{args.rate}_beta{args.beta2}_seed{args.seed}"
    path = args.out / f"{name}.jsonl"
    with path.open("w") as file:
        for row in rows(trainer, args.side, args.steps, args.until, args.gradients):
            file.write(json.dumps(row) + "\n")
            file.flush()


def rows(
    trainer: Trainer, side: int, steps: int, until: float, gradients: bool
) -> Iterator[dict[str, object]]:
    """Trains, and yields one reading every EVERY steps."""
    base = trainer.base
    assert isinstance(base, TinyBase)
    meter = ConvergenceMeter(base, draw_held_out(base, side, HELD_OUT, 0, 0.5))
    adherence = Adherence(base, side, steps=8)
    begin, total = time.monotonic(), torch.zeros(())
    while True:
        step = trainer.step
        reached = adherence(trainer.net)
        row: dict[str, object] = meter.read(trainer.net, step).to_dict()
        row |= {
            "adherence": reached,
            "train_loss": float(total) / EVERY,
            "seconds": round(time.monotonic() - begin, 1),
        }
        if step % 100 == 0:
            row["adherence_empty"] = adherence(trainer.net, empty=True)
        if gradients:
            row |= {"features": feature_parts(trainer.net, base, side)}
            row |= {"layers": gradient_parts(trainer, base, side)}
        yield row
        if reached >= until or step >= steps:
            return
        total = sum((trainer.advance() for _ in range(EVERY)), torch.zeros(()))


def draw_held_out(base: TinyBase, side: int, count: int, number: int, dropout: float) -> NoisyBatch:
    """Returns one of the batches that no training sees."""
    samples = TinySamples(base.autoencoder, side, 1000, "held out")
    visits = SampleOrder(samples.sizes, count, 1).batch(number)
    return make_noisy_batch(base, samples, visits, dropout, False)


@torch.no_grad()
def feature_parts(net: ControlNet, base: TinyBase, side: int) -> dict[str, float]:
    """Returns the rms of what enters the hint encoder's last convolution: constant part, and part that hints change."""
    features = draw_held_out(base, side, HELD_OUT, 0, 0.5).hints
    for layer in net.input_hint_block[:-1]:
        features = layer(features)
    constant = features.mean(0, keepdim=True)
    return {
        "constant": float(constant.square().mean().sqrt()),
        "hint": float((features - constant).square().mean().sqrt()),
    }


def gradient_parts(trainer: Trainer, base: TinyBase, side: int) -> dict[str, dict[str, float]]:
    """Returns, for each layer, the size of the gradient's part that is due to the hint, and of its noise.

    `hint` is the norm of the mean over batches of (gradient with the matching hints - with the neighbours' hints),
    `noise` the norm of one batch's deviation from the mean gradient, `mean` the norm of the mean gradient.
    """
    names = dict(groups(trainer.net))
    right: dict[str, list[Tensor]] = {name: [] for name in names}
    wrong: dict[str, list[Tensor]] = {name: [] for name in names}
    for number in range(GRADIENT_BATCHES):
        batch = draw_held_out(base, side, GRADIENT_BATCH_SIZE, number + 10, 0.5)
        other = NoisyBatch(**{**vars(batch), "hints": batch.hints.roll(1, 0)})
        for kept, one in ((right, batch), (wrong, other)):
            trainer.net.zero_grad()
            losses(trainer.net, base, one).mean().backward()
            for name, modules in names.items():
                kept[name].append(_flat_gradient(modules))
    trainer.net.zero_grad()
    return {name: _parts(torch.stack(right[name]), torch.stack(wrong[name])) for name in names}


def groups(net: ControlNet) -> Iterator[tuple[str, list[nn.Module]]]:
    """Yields the layers whose gradients are looked at."""
    convs = [layer for layer in net.input_hint_block if isinstance(layer, nn.Conv2d)]
    yield from ((f"hint conv {index}", [conv]) for index, conv in enumerate(convs))
    yield "trainable copy", [net.input_blocks, net.middle_block]
    yield "zero convs", [net.zero_convs, net.middle_block_out]


def _flat_gradient(modules: list[nn.Module]) -> Tensor:
    found = [p.grad for m in modules for p in m.parameters() if p.grad is not None]
    return torch.cat([g.flatten() for g in found])


def _parts(right: Tensor, wrong: Tensor) -> dict[str, float]:
    mean = right.mean(0)
    noise = (right - mean).square().sum(1).sum() / (len(right) - 1)
    return {
        "mean": float(mean.norm()),
        "hint": float((right - wrong).mean(0).norm()),
        "noise": float(noise.sqrt()),
    }


if __name__ == "__main__":
    main()
