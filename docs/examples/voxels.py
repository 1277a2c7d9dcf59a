"""ControlNet on something that is not Stable Diffusion: a 3-D denoiser that follows a 2-D silhouette.

    python docs/examples/voxels.py [--out voxels] [--ablation]

trains on the CPU a small denoiser of 16 x 16 x 16 voxels without any condition; then, on the locked denoiser,
`cn.control_blocks`; then, for comparison, a plain fine-tune of the same blocks, with as many parameters to train but
no locked copy. Writes `voxels.png` and `voxels.json`: how well the silhouettes of what is drawn follow the hint
(intersection over union), before, on the way and after, and what is left of the model without a hint. `--ablation`
also trains the paper's two lesser variants of a ControlNet.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn

import cnet_core as cn
from cnet_core.diffusion.noise_schedule import TIMESTEPS, add_noise, alphas_cumprod
from cnet_core.diffusion.samplers import ddim, last
from cnet_core.generic.control_block import ZeroConv

SIDE, WIDTH, BATCH, RATE = 16, 24, 24, 3e-3
OUTSIDE, INSIDE = -0.3, 3.7  # of zero mean and unit variance, about
SAMPLES, SAMPLER_STEPS, FOLLOWS, SHOWN = 32, 20, 0.7, 6
EVERY = 25
CONTROL_NET, FINE_TUNE = "ControlNet", "plain fine-tune"
#: What the paper takes away from a ControlNet: figure 8c (ControlNet-lite) and 8b.
LITE, GAUSSIAN = "one convolution for the copy", "Gaussian for zero convolutions"
#: Blocks under control -> channels of their condition: the silhouette folded to the block's 8 x 8 or 4 x 4 columns.
CONTROLLED = {"encoder": 4, "middle": 16}
#: Their own channels.
WIDTHS = {"encoder": WIDTH, "middle": 2 * WIDTH}


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
            zero = ZeroConv(channels, WIDTHS[path], 1)
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


def sheet(groups: Mapping[str, list[list[Tensor]]]) -> Image.Image:
    """Returns groups of columns of pictures (16, 16), 0..1, under their titles, six times as large."""
    blocks: list[Image.Image] = []
    for title, columns in groups.items():
        framed = [[F.pad(p, (1, 1, 1, 1), value=0.5) for p in column] for column in columns]
        values = (torch.cat([torch.cat(column) for column in framed], dim=1) * 255).byte().numpy()
        pictures = Image.fromarray(np.kron(values, np.ones((6, 6), np.uint8)))
        block = Image.new("L", (pictures.width + 14, pictures.height + 42), 255)
        block.paste(pictures, (7, 42))
        what = "seen from the front, and from the side" if len(columns) > 1 else "silhouette"
        for y, text, size in ((4, title, 14), (24, what, 11)):
            ImageDraw.Draw(block).text((8, y), text, fill=0, font=ImageFont.load_default(size))
        blocks.append(block)
    found = Image.new("L", (sum(b.width for b in blocks), blocks[0].height), 255)
    for index, block in enumerate(blocks):
        found.paste(block, (sum(b.width for b in blocks[:index]), 0))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="A voxel denoiser that follows silhouettes.")
    parser.add_argument("--out", type=Path, default=Path("voxels"))
    parser.add_argument("--ablation", action="store_true", help="train figure 8's variants too")
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
    before = draw(base, samples, 1)
    report: dict[str, object] = {"before": adherence(before, hints)}
    groups = {
        "the hint": [[h[0] for h in hints[:SHOWN]]],
        f"locked: {report['before']}": views(before),
    }
    for way in (CONTROL_NET, FINE_TUNE, *((LITE, GAUSSIAN) if args.ablation else ())):
        model = deepcopy(base)
        control = take_control(model, way, hints)
        figures, voxels = follow(model, control, hints, steps)
        if way in (CONTROL_NET, FINE_TUNE):
            groups[f"{way}: {figures['adherence']}"] = views(voxels)
        if way == CONTROL_NET:
            groups["ControlNet, another seed"] = views(draw(model, samples, 2))
        without_hint(control)
        left = torch.equal(draw(model, samples, 1), before)
        report[way] = figures | {"draws without a hint as before": left}
    report["CPU seconds in all"] = round(time.process_time() - begin)
    sheet(groups).save(args.out / "voxels.png")
    (args.out / "voxels.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


def take_control(model: nn.Module, way: str, hints: Tensor) -> "cn.BlockControl | FineTune":
    """Returns what is to be trained on a model that will not be trained itself, or (FINE_TUNE) will."""
    control = FineTune(model) if way == FINE_TUNE else cn.control_blocks(model, CONTROLLED)
    branches = control.branches.values() if isinstance(control, cn.BlockControl) else ()
    if way == LITE:
        for path, branch in zip(CONTROLLED, branches, strict=True):
            branch.copy = nn.Conv3d(WIDTHS[path], WIDTHS[path], 3, padding=1)
    control.condition = conditions(hints)
    draw(model, len(hints), 1)  # the first call tells the zero convolutions their channels
    if way == GAUSSIAN:
        for conv in (c for branch in branches for c in (branch.zero_in, branch.zero_out)):
            nn.init.normal_(conv.weight, std=conv.in_features**-0.5)
    return control


def without_hint(control: "cn.BlockControl | FineTune") -> None:
    """Takes the hint away: the control's own way, or an empty silhouette for blocks that were trained to read one."""
    if isinstance(control, cn.BlockControl):
        control.remove()
    else:
        control.condition = {path: torch.zeros_like(c) for path, c in control.condition.items()}


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
