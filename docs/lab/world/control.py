"""Stage 4: the ControlNet, on the UNet of the stage before, which stays as it is."""

import torch
from base import Batch, Sizes, Stream, TextToNoise
from compiling import CompiledWhenReady
from fitting import Plan, WorldRun, fit
from torch import Tensor, nn

from cnet_core.nets.controlnet import ControlNet
from cnet_core.tiny.autoencoder import Autoencoder

#: Half of the prompts are empty, as in the paper; a few name another thing than the outline shows.
EMPTY_PROMPTS, OTHER_KINDS = 0.5, 0.12


class ControlLoss(nn.Module):
    """A locked UNet with its ControlNet; returns the loss of a batch."""

    def __init__(self, base: TextToNoise, net: ControlNet) -> None:
        super().__init__()
        self.base = base.requires_grad_(False)
        self.net = net.requires_grad_(True)

    def forward(self, batch: Batch) -> Tensor:
        unet, x, t = self.base.unet, batch.noisy, batch.timesteps
        assert batch.hints is not None
        with torch.no_grad():
            context = self.base.text.embed(batch.tokens)
            emb = unet.embed(t, None, x.dtype)
            skips, middle = unet.encode(x, emb, context)
        found = self.net(x, batch.hints, t, context)
        steered = [a + b for a, b in zip(skips, found.skips, strict=True)]
        return batch.loss(unet.decode(steered, middle + found.middle, emb, context))


def train(
    run: WorldRun,
    plan: Plan,
    sizes: Sizes,
    encoder: Autoencoder,
    base: TextToNoise,
    name: str,
    start: ControlNet | None,
) -> ControlNet:
    """Returns the averaged ControlNet."""
    torch.manual_seed(4)
    net = ControlNet.from_unet(base.unet, hint_init="balanced")
    if start is not None:
        net.load_state_dict(start.state_dict())
    module = ControlLoss(base, net).to(run.device)
    generator = run.generator(41 + sizes.side)
    stream = Stream(encoder, run, generator, pool=sizes.pool(run), hints=True)
    call = CompiledWhenReady(module, name, run, plan.seconds_left(name, run))

    def loss_of(step: int) -> Tensor:
        side, count = sizes.of(step)
        batch = stream.draw(side, count, EMPTY_PROMPTS, OTHER_KINDS)
        with run.autocast():
            return call(batch) if side == sizes.side else module(batch)

    return fit(name, module, loss_of, plan, run, generator).net
