"""Trains the tiny ControlNet on the locked tiny UNet: `python -m cnet_core.tiny.recipe_controlnet --base DIR …`.

At 64 px first, where a step costs a quarter and "sudden convergence" can be watched, then at 128 px.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.files import read_tensors
from ..control import ControlUnit
from ..controlnet import ControlNet
from ..patching import patch_unet
from .autoencoder import Autoencoder
from .data import distance_field, outline, random_scene
from .measure import iou, shape_mask
from .recipe import Batch, batches, load_autoencoder, optimise, save_weights
from .recipe_unet import TextToNoise
from .sampler import ddim, last

#: size -> (steps, batch, peak learning rate)
STAGES = {64: (450, 32, 1e-3), 128: (420, 24, 1e-3)}
EMPTY_PROMPTS = 0.5


def main() -> None:
    """Trains the stage asked for and writes `control_net_SIZE.safetensors`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--unet", type=Path, required=True)
    parser.add_argument("--text", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="ControlNet of the stage before")
    parser.add_argument("--size", type=int, choices=STAGES, required=True)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    base = TextToNoise()
    base.unet.load_state_dict(read_tensors(args.unet)[0])
    base.text.load_state_dict(read_tensors(args.text)[0])
    base.train(False).requires_grad_(False)
    net = ControlNet.from_unet(base.unet)
    if args.start:
        net.load_state_dict(read_tensors(args.start)[0])
    average = train(
        net.requires_grad_(True),
        base,
        load_autoencoder(args.autoencoder),
        args.size,
        args.steps,
        args.out,
    )
    save_weights(average, args.out / f"control_net_{args.size}.safetensors")


def train(
    net: ControlNet,
    base: TextToNoise,
    encoder: Autoencoder,
    size: int,
    steps: int | None,
    out: Path,
) -> nn.Module:
    """Returns the averaged ControlNet after one stage; `base` stays locked."""
    planned, batch, rate = STAGES[size]
    stream = batches(
        encoder, size, batch, EMPTY_PROMPTS, torch.Generator().manual_seed(1000 + size)
    )

    def loss_of(item: Batch) -> Tensor:
        with patch_unet(base.unet, ControlUnit(net, item.hints), rows=("cond",)):
            return F.mse_loss(base(item.noisy, item.timesteps, item.prompts), item.noise)

    def report(step: int, average: nn.Module) -> str:
        assert isinstance(average, ControlNet)
        if step % 200 == 0:
            save_weights(average, out / f"control_net_{size}_at_{step}.safetensors")
        return f"adherence {adherence(average, base, encoder, size):.3f}"

    return optimise(
        net,
        loss_of,
        stream,
        steps or planned,
        rate,
        report=report,
        every=50,
        log=out / f"control_net_{size}.jsonl",
    )


@torch.no_grad()
def adherence(
    net: ControlNet, base: TextToNoise, decoder: Autoencoder, size: int, count: int = 16
) -> float:
    """Returns the mean IoU of drawn and wanted shape over `count` samples: full prompts, CFG 1, 10 steps."""
    generator = torch.Generator().manual_seed(998)
    scene = random_scene(count, generator)
    field = distance_field(scene, size)
    noise = torch.randn(count, 4, size // 8, size // 8, generator=generator)
    prompts = scene.prompts()
    with patch_unet(base.unet, ControlUnit(net, outline(field)), rows=("cond",)):
        latents = last(ddim(lambda x, t: base(x, t, prompts), noise, 10))
    return float(iou(shape_mask(decoder.decode(latents)), field < 0).mean())


if __name__ == "__main__":
    main()
