"""What docs/paper.md says was measured, measured again: `python docs/lab/claims.py [NAME …]`; without a name, all.

Each function returns the text of its section. Those in ARITHMETIC take no time. Those in COUNTED take half a
minute, for what a net of full width would do. Those in MEASURED run the embedded model and take up to a minute.
"""

import argparse
import math
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from statistics import correlation, fmean, linear_regression

import torch
import torch.nn.functional as F
from assessment import name_other_kinds
from held_out import draw_held_out, sample_row
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import cnet_core as cn
from cnet_core.bench.training_step import FINE_TUNE, WAYS, cost
from cnet_core.diffusion.noise_schedule import TIMESTEPS, add_noise
from cnet_core.nets.blocks import Downsample, ResBlock, SpatialTransformer, Upsample
from cnet_core.nets.controlnet import HINT_CONVS
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.measure import iou, thing_mask
from cnet_core.tiny.things import article

#: SD1.5's blocks at 512 pixels, and their sides.
SIDES = cn.SD15.block_sizes(64, 64)


def architecture() -> str:
    with torch.device("meta"):
        unet = cn.UNet(cn.SD15)
    kinds = [type(module) for module in unet.modules()]
    blocks = f"{len(unet.input_blocks)} + 1 + {len(unet.output_blocks)}"
    return (
        f"{blocks} blocks; {kinds.count(ResBlock)} ResBlocks, {kinds.count(SpatialTransformer)} transformers, "
        f"{kinds.count(Downsample)} down- and {kinds.count(Upsample)} upsamplings"
    )


def sides() -> str:
    return " ".join(f"{side:.0f}" for side in SIDES)


def hint_encoder() -> str:
    with torch.device("meta"):
        released = cn.ControlNet(cn.SD15).input_hint_block
        widths = (3, 16, 32, 64, 128)
        printed = nn.Sequential(*(nn.Conv2d(i, o, 4, 2, 1) for i, o in pairwise(widths)))
        picture = torch.zeros(1, 3, 512, 512)
        found = picture
        for layer in released:
            found = layer(found)
        sides = found.shape[-1], printed(picture).shape[-1]
    convs = " ".join(f"{out}/{stride}" for out, stride in HINT_CONVS)
    last = found.shape[1]
    return f"3x3 (width/stride) {convs} {last}/1: 512 -> {sides[0]}; as printed: 512 -> {sides[1]}"


def zero_convs() -> str:
    config = cn.UNetConfig(model_channels=32, channel_mult=(1, 1, 1, 1), context_dim=8, num_heads=4)
    net = cn.ControlNet.from_unet(cn.UNet(config))
    zero = [m for m in net.modules() if isinstance(m, nn.Conv2d) and not m.weight.any()]
    assert not any(m.bias is not None and m.bias.any() for m in zero)
    sizes = [m.kernel_size[0] for m in zero]
    return f"{len(zero)}: {sizes.count(1)} of 1x1, {sizes.count(3)} of 3x3"


def parameters() -> str:
    with torch.device("meta"):
        net, unet = cn.ControlNet(cn.SD15), cn.UNet(cn.SD15)
    parts = (net, net.input_hint_block, nn.ModuleList([net.zero_convs, net.middle_block_out]), unet)
    millions = [sum(p.numel() for p in part.parameters()) / 1e6 for part in parts]
    return "{:.1f} M: hint encoder {:.1f} M, zero convolutions {:.1f} M; UNet {:.1f} M".format(
        *millions
    )


def resolution() -> str:
    values = cn.BlockScales.resolution(normalised=False).values(SIDES)
    return " ".join(f"{value:g}" for value in values)


def schedules() -> str:
    soft, by_side = (s.values(SIDES) for s in (cn.BlockScales.soft(), cn.BlockScales.resolution()))
    logs = [[math.log(v) for v in values] for values in (soft, by_side)]
    levels = sorted(set(SIDES), reverse=True)
    means = [
        math.exp(fmean(v for v, side in zip(logs[0], SIDES, strict=True) if side == level))
        for level in levels
    ]
    steps = [12 - i for i in range(13)]
    base = math.exp(linear_regression(steps, logs[1], proportional=True).slope)
    means_text = " ".join(f"{m:.4f}" for m in means)
    return f"means by side {means_text}; r = {correlation(*logs):.3f}; best base for 8/h {base:.4f}"


def soft_base() -> str:
    soft, exact = (s.values(SIDES) for s in (cn.BlockScales.soft(), cn.BlockScales.logspace()))
    off = max(abs(a / b - 1) for a, b in zip(soft, exact, strict=True))
    return (
        f"0.825^12 = {0.825**12:.4f}, 0.826^12 = {0.826**12:.4f}, 10^(-1/12) = {10 ** (-1 / 12):.4f}; largest "
        f"difference {100 * off:.2f} %"
    )


def sums() -> str:
    sizes = cn.SDXL.block_sizes(128, 128)
    ways = {
        "webui": cn.BlockScales.webui(),
        "soft": cn.BlockScales.soft(),
        "logspace": cn.BlockScales.logspace(),
    }
    return ", ".join(f"{name} {sum(way.values(sizes)):.2f}" for name, way in ways.items())


def sampling_share() -> str:
    """Operations of a ControlNet at every step after the first, as a share of the UNet's on two rows."""

    def operations(model: cn.UNet | cn.ControlNet, rows: int) -> int:
        x, t, text = torch.randn(rows, 4, 64, 64), torch.zeros(rows), torch.randn(rows, 77, 768)
        if isinstance(model, cn.ControlNet):
            features = model.hint_features(torch.zeros(1, 3, 512, 512))
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            if isinstance(model, cn.ControlNet):
                model.residuals(x, features, t, text)
            else:
                model(x, t, text)
        return counter.get_total_flops()

    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        net = cn.ControlNet(cn.SD15)
        both, cond, unet = operations(net, 2), operations(net, 1), operations(cn.UNet(cn.SD15), 2)
    return f"both {100 * both / unet:.1f} %, cond only {100 * cond / unet:.1f} %"


def training_cost() -> str:
    """Operations and peak memory of one step at full width, as multiples of a fine-tune's: batch 4, 512 pixels."""
    costs = {way: cost(way, cn.SD15, 512, 4) for way in WAYS}
    whole = costs[FINE_TUNE]
    return ". ".join(
        f"{way} {c.flops / whole.flops:.2f} / {c.peak_bytes / whole.peak_bytes:.2f}"
        for way, c in costs.items()
    )


def noise() -> str:
    """Held-out loss of the embedded model, for zero convolutions fresh, drawn from a Gaussian, and trained."""
    model, true = TinyStableDiffusion.load(), draw_held_out(24)
    generator = torch.Generator().manual_seed(4242)
    clean = model.autoencoder.encode(true.pictures)
    timesteps = torch.randint(TIMESTEPS, (24,), generator=generator)
    added = torch.randn(clean.shape, generator=generator)
    noisy, context = add_noise(clean, added, timesteps), model.text(true.scene.prompts())
    fresh = cn.ControlNet.from_unet(model.unet)
    gaussian = deepcopy(fresh)
    for conv in [*gaussian.zero_convs, gaussian.middle_block_out]:
        nn.init.normal_(conv[0].weight, std=conv[0].in_channels ** -0.5, generator=generator)
    found: dict[str, float] = {}
    with torch.no_grad():
        found["locked"] = float(F.mse_loss(model.unet(noisy, timesteps, context), added))
        for name, net in (("fresh", fresh), ("Gaussian", gaussian), ("trained", model.control_net)):
            with cn.patch_unet(model.unet, cn.ControlUnit(net, true.edges), rows=("cond",)):
                found[name] = float(F.mse_loss(model.unet(noisy, timesteps, context), added))
    return ", ".join(f"{name} {loss:.3f}" for name, loss in found.items())


def prompts() -> str:
    """Adherence for figure 8's kinds of prompt, hint on both branches: 12 held-out scenes, CFG 7.5, 20 steps."""
    model, true = TinyStableDiffusion.load(), draw_held_out(12)
    scene = true.scene
    ways = {
        "none": [""] * 12,
        "insufficient": [f"{article(ground)} {ground} background" for ground in scene.backgrounds],
        "conflicting": name_other_kinds(scene).prompts(),
        "perfect": scene.prompts(),
    }
    found: dict[str, float] = {}
    for name, texts in ways.items():
        drawn = sample_row(model, texts, "both", true.edges)
        found[name] = float(iou(thing_mask(drawn), true.inside).mean())
    return ", ".join(f"{name} {value:.3f}" for name, value in found.items())


Claim = Callable[[], str]
ARITHMETIC: tuple[Claim, ...] = (
    architecture,
    sides,
    hint_encoder,
    zero_convs,
    parameters,
    resolution,
    schedules,
    soft_base,
    sums,
)
COUNTED: tuple[Claim, ...] = (sampling_share, training_cost)
MEASURED: tuple[Claim, ...] = (noise, prompts)


def main() -> None:
    claims = {claim.__name__: claim for claim in (*ARITHMETIC, *COUNTED, *MEASURED)}
    parser = argparse.ArgumentParser(description="Measures what docs/paper.md says.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(claims))
    args = parser.parse_args()
    unknown = sorted(set(args.names) - set(claims))
    if unknown:
        parser.error(f"no claim is called {', '.join(unknown)}; there are {', '.join(claims)}")
    for name in args.names or claims:
        print(f"{name}: {claims[name]()}", flush=True)


if __name__ == "__main__":
    main()
