"""ControlNet on something that is not Stable Diffusion: a 3-D denoiser that follows a 2-D silhouette.

    python docs/examples/voxels.py [--out voxels]

trains on the CPU a small denoiser of 16 x 16 x 16 voxels without any condition; then, on the locked denoiser,
`cn.control_blocks`; then, for comparison, a plain fine-tune of the same blocks, with as many parameters to train but
no locked copy. Writes `voxels.png` and `voxels.json`: how well the silhouettes of what is drawn follow the hint
(intersection over union), before, on the way and after, and what is left of the model without a hint.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

import cnet_core as cn
from cnet_core.control_block import ZeroConv
from cnet_core.tiny.diffusion import TIMESTEPS, add_noise, alphas_cumprod
from cnet_core.tiny.sampler import ddim, last

SIDE, WIDTH, BATCH, RATE = 16, 24, 24, 3e-3
OUTSIDE, INSIDE = -0.3, 3.7  # of zero mean and unit variance, about
SAMPLES, SAMPLER_STEPS, FOLLOWS, SHOWN = 32, 20, 0.7, 6
EVERY = 25
TITLES = (
    "hint",
    "locked",
    "its side",
    "ControlNet",
    "its side",
    "other seed",
    "its side",
    "fine-tune",
    "its side",
)
#: Blocks under control -> channels of their condition: the silhouette folded to the block's 8 x 8 or 4 x 4 columns.
CONTROLLED = {"encoder": 4, "middle": 16}


class Denoiser(nn.Module):
    """Predicts the clean voxels (B, 1, 16, 16, 16) of noisy ones; folds 2 x 2 x 2 voxels into channels first."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TIMESTEPS // 10, WIDTH)
        self.fold = nn.Conv3d(1, WIDTH, 2, stride=2)
        self.encoder = nn.Sequential(Residual(WIDTH), Residual(WIDTH))
        self.down = nn.Conv3d(WIDTH, 2 * WIDTH, 2, stride=2)
        self.middle = nn.Sequential(Residual(2 * WIDTH), Residual(2 * WIDTH))
        self.up = nn.ConvTranspose3d(2 * WIDTH, WIDTH, 2, stride=2)
        self.decoder = nn.Sequential(nn.Conv3d(2 * WIDTH, WIDTH, 1), Residual(WIDTH))
        self.unfold = nn.ConvTranspose3d(WIDTH, 1, 2, stride=2)

    def forward(self, x: Tensor, timesteps: Tensor) -> Tensor:
        time = self.embed(timesteps.long() // 10)[:, :, None, None, None]
        skip = self.encoder(self.fold(x) + time)
        h = self.up(self.middle(self.down(skip)))
        return self.unfold(self.decoder(torch.cat([h, skip], dim=1)))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.GroupNorm(4, width),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class FineTune:
    """The comparison: the same blocks are trained themselves, and read x + Z1(c)."""

    def __init__(self, model: nn.Module) -> None:
        model.requires_grad_(False)
        self.condition: dict[str, Tensor] = {}
        self._parameters: list[nn.Parameter] = []
        for path, channels in CONTROLLED.items():
            block = model.get_submodule(path).requires_grad_(True)
            zero = ZeroConv(channels, WIDTH if path == "encoder" else 2 * WIDTH, 1)
            self._parameters += [*block.parameters(), *zero.parameters()]
            block.register_forward_pre_hook(self._hook(path, zero))

    def trainable_parameters(self) -> list[nn.Parameter]:
        return self._parameters

    def _hook(self, path: str, zero: nn.Module) -> Callable[..., tuple[Tensor]]:
        return lambda block, args: (args[0] + zero(self.condition[path]),)


def objects(count: int, generator: torch.Generator) -> Tensor:
    """Returns bars, plates and ellipsoids in any place and direction: (count, 1, 16, 16, 16), OUTSIDE to INSIDE."""
    axis = torch.linspace(-1, 1, SIDE)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1).reshape(-1, 3)
    turns = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator)).Q
    centre = 0.8 * torch.rand(count, 1, 3, generator=generator) - 0.4
    half = 0.2 + 0.5 * torch.rand(count, 1, 3, generator=generator)
    inside = ((grid - centre) @ turns / half).abs()
    boxes, round_ones = inside.amax(-1), inside.square().sum(-1).sqrt()
    is_box = torch.rand(count, 1, generator=generator) < 0.5
    depth = (1 - torch.where(is_box, boxes, round_ones)) * half.amin(-1) * SIDE / 2  # in voxels
    share = (depth + 0.5).clamp(0, 1).reshape(count, 1, SIDE, SIDE, SIDE)
    return OUTSIDE + (INSIDE - OUTSIDE) * share


def solid(voxels: Tensor) -> Tensor:
    """Returns which voxels are filled: 0 or 1."""
    return (voxels > (INSIDE + OUTSIDE) / 2).float()


def silhouettes(voxels: Tensor) -> Tensor:
    """Returns what is seen from the front: (B, 1, 16, 16), 0 or 1."""
    return solid(voxels).amax(2)


def conditions(hints: Tensor) -> dict[str, Tensor]:
    """Returns silhouettes folded to each block's columns, the same at every depth."""
    found: dict[str, Tensor] = {}
    for path, fold in (("encoder", 2), ("middle", 4)):
        flat = F.pixel_unshuffle(hints, fold)
        found[path] = flat[:, :, None].expand(-1, -1, SIDE // fold, -1, -1)
    return found


def train(
    model: nn.Module, parameters: list[nn.Parameter], steps: int, steer: Callable[[Tensor], None]
) -> Iterator[int]:
    """Yields the number of each step after it is done."""
    generator = torch.Generator().manual_seed(steps)
    optimizer = torch.optim.AdamW(parameters, lr=RATE, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, steps + 1, pct_start=0.1, cycle_momentum=False
    )
    for step in range(1, steps + 1):
        clean = objects(BATCH, generator)
        steer(silhouettes(clean))
        loss = denoising_loss(model, clean, generator)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield step


def denoising_loss(model: nn.Module, clean: Tensor, generator: torch.Generator) -> Tensor:
    timesteps = torch.randint(TIMESTEPS, (len(clean),), generator=generator)
    noise = torch.randn(clean.shape, generator=generator)
    return F.mse_loss(model(add_noise(clean, noise, timesteps), timesteps), clean)


@torch.no_grad()
def draw(model: nn.Module, count: int, seed: int) -> Tensor:
    """Returns voxels (count, 1, 16, 16, 16) by DDIM."""
    alphas = alphas_cumprod()
    noise = torch.randn(count, 1, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))

    def predict(x: Tensor, timesteps: Tensor) -> Tensor:
        alpha = alphas[int(timesteps[0])]
        return (x - alpha.sqrt() * model(x, timesteps).clamp(OUTSIDE, INSIDE)) / (1 - alpha).sqrt()

    return last(ddim(predict, noise, SAMPLER_STEPS))


def adherence(voxels: Tensor, hints: Tensor) -> float:
    """Returns the mean intersection over union of silhouettes and hints."""
    seen, wanted = silhouettes(voxels).flatten(1) > 0, hints.flatten(1) > 0
    both, either = (seen & wanted).sum(1), (seen | wanted).sum(1)
    return round(float((both / either.clamp(min=1)).mean()), 3)


def view(voxels: Tensor, axis: int) -> Tensor:
    """Returns a picture (16, 16) of voxels (1, 16, 16, 16) seen along an axis: near is light, nothing is black."""
    light = torch.linspace(1, 0.35, SIDE)[:, None, None]
    return (solid(voxels[0]).movedim(axis, 0) * light).amax(0)


def sheet(columns: list[list[Tensor]]) -> Image.Image:
    """Returns pictures (16, 16), 0..1, in columns with titles, six times as large."""
    framed = [[F.pad(picture, (1, 1, 1, 1), value=0.5) for picture in column] for column in columns]
    values = (torch.cat([torch.cat(column) for column in framed], dim=1) * 255).byte().numpy()
    pictures = Image.fromarray(np.kron(values, np.ones((6, 6), np.uint8)))
    found = Image.new("L", (pictures.width, pictures.height + 22), 255)
    found.paste(pictures, (0, 22))
    for index, title in enumerate(TITLES):
        place = (index * pictures.width // len(TITLES) + 8, 5)
        ImageDraw.Draw(found).text(place, title, fill=0, font=ImageFont.load_default(13))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="A voxel denoiser that follows silhouettes.")
    parser.add_argument("--out", type=Path, default=Path("voxels"))
    parser.add_argument("--quick", action="store_true", help="a few steps, to see that it runs")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    base_steps, steps, samples = (2, 2, SHOWN) if args.quick else (450, 400, SAMPLES)
    torch.manual_seed(0)
    hints = silhouettes(objects(samples, torch.Generator().manual_seed(7)))
    begin = time.process_time()

    base = Denoiser()
    for step in train(base, list(base.parameters()), base_steps, lambda hints: None):
        if step % 50 == 0:
            print(f"denoiser: step {step}", flush=True)
    tuned = deepcopy(base)
    before = draw(base, samples, 1)
    report: dict[str, object] = {"before": adherence(before, hints)}
    columns = [[h[0] for h in hints[:SHOWN]], *views(before)]

    for name, model in (("ControlNet", base), ("plain fine-tune", tuned)):
        control = FineTune(model) if model is tuned else cn.control_blocks(model, CONTROLLED)
        control.condition = conditions(hints)
        draw(model, len(hints), 1)  # the first call tells the zero convolutions their channels
        report[name], voxels = follow(model, control, hints, steps)
        columns += views(voxels)
        if isinstance(control, cn.BlockControl):
            columns += views(draw(model, len(hints), 2))
            control.remove()
        else:
            control.condition = conditions(torch.zeros_like(hints))
        report[name]["draws without a hint as before"] = torch.equal(
            draw(model, len(hints), 1), before
        )
    report["CPU seconds in all"] = round(time.process_time() - begin)
    sheet(columns).save(args.out / "voxels.png")
    (args.out / "voxels.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def follow(
    model: nn.Module, control: "cn.BlockControl | FineTune", hints: Tensor, steps: int
) -> tuple[dict[str, object], Tensor]:
    """Trains what `control` has to train; returns the figures and what is drawn at last."""

    def steer(hints: Tensor) -> None:
        control.condition = conditions(hints)

    parameters = control.trainable_parameters()
    curve: dict[int, float] = {}
    for step in train(model, parameters, steps, steer):
        if step % EVERY == 0 or step == steps:
            steer(hints)
            voxels = draw(model, len(hints), 1)
            curve[step] = adherence(voxels, hints)
            print(f"{type(control).__name__}: step {step}, adherence {curve[step]}", flush=True)
    figures: dict[str, object] = {
        "trainable parameters": sum(p.numel() for p in parameters),
        "adherence": curve[steps],
        f"first step at {FOLLOWS}": next((s for s, a in curve.items() if a >= FOLLOWS), None),
        "adherence by step": curve,
    }
    return figures, voxels


def views(voxels: Tensor) -> list[list[Tensor]]:
    """Returns two columns of pictures: the first six from the front and from the side."""
    return [[view(v, axis) for v in voxels[:SHOWN]] for axis in (0, 2)]


if __name__ == "__main__":
    main()
