"""Stage 1: the autoencoder."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from fitting import Plan, WorldRun, fit
from torch import Tensor, nn

from cnet_core.tiny.autoencoder import Autoencoder, psnr
from cnet_core.tiny.scenes import ThingScene, draw, random_scene

SIDE, WINDOW = 128, 80
#: Of unit-variance latents, at most: the decoder must bear what a sampler leaves behind.
NOISE = 0.12
#: Weight of the loss on shrunk and mirrored latents, which keeps the latent space even.
SMOOTH = 0.25


class Reconstruction(nn.Module):
    """The autoencoder with latents normalised by their batch, so that noise has a fixed size next to them."""

    def __init__(self, run: WorldRun) -> None:
        super().__init__()
        self.net = Autoencoder()
        self.run = run

    def forward(self, pictures: Tensor, noise: Tensor) -> Tensor:
        """Returns the loss on pictures, given noise of their latents' size."""
        raw = self.net.encoder(self.run.cast(pictures * 2 - 1)).float()
        mean, std = raw.mean((0, 2, 3), keepdim=True), raw.std((0, 2, 3), keepdim=True)
        latents = (raw - mean) / std
        loss = difference(self._decode(latents + noise, mean, std), pictures)
        few = len(pictures) // 4
        small = F.avg_pool2d(latents[:few], 2).flip(-1)
        wanted = F.avg_pool2d(pictures[:few], 2).flip(-1)
        return loss + SMOOTH * difference(self._decode(small, mean, std), wanted)

    def _decode(self, latents: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return self.net.decoder(self.run.cast(latents * std + mean)).float() / 2 + 0.5


def difference(got: Tensor, want: Tensor) -> Tensor:
    """Returns L1 of the pixels and of their differences to the right and below, and the squares."""
    error = got.float() - want
    slopes = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 0.7 * slopes + 3 * error.square().mean()


def train(run: WorldRun, plan: Plan, start: dict[str, Tensor] | None = None) -> Autoencoder:
    """Returns the trained, averaged and calibrated autoencoder."""
    torch.manual_seed(0)
    module = Reconstruction(run).to(run.device)
    if start is not None:
        module.net.load_state_dict(start)
    generator = run.generator(11)
    on_gpu = run.device.type == "cuda"

    def loss_of(step: int) -> Tensor:
        with torch.no_grad():
            if on_gpu:
                side = 192 if step % 8 == 7 else SIDE
                pictures, _ = draw(random_scene(128 * SIDE // side, generator), side)
            else:
                pictures, _ = draw(window(random_scene(16, generator), generator), WINDOW)
            size = (len(pictures), 4, pictures.shape[-2] // 8, pictures.shape[-1] // 8)
            spread = (
                torch.rand(len(pictures), 1, 1, 1, generator=generator, device=run.device) * NOISE
            )
            noise = spread * torch.randn(size, generator=generator, device=run.device)
        with run.autocast():
            return module(pictures, noise)

    average = fit(
        "autoencoder", module, loss_of, plan, run, generator, lambda m: report(m.net, run)
    )
    with torch.no_grad():
        average.net.calibrate(
            draw(random_scene(512 if on_gpu else 128, run.generator(12)), SIDE)[0]
        )
    return average.net


def window(scene: ThingScene, generator: torch.Generator) -> ThingScene:
    """Returns what windows of WINDOW pixels show of pictures of SIDE pixels."""
    zoom = SIDE / WINDOW
    shift = (
        torch.rand(scene.centre.shape, generator=generator, device=generator.device) * 2 - 1
    ) * (zoom - 1)
    return replace(scene, size=scene.size * zoom, centre=scene.centre * zoom + shift)


@torch.no_grad()
def report(net: Autoencoder, run: WorldRun) -> dict[str, object]:
    """Returns the quality on held-out pictures."""
    wanted, _ = draw(random_scene(48, run.generator(99)), SIDE)
    net.calibrate(wanted)
    latents = net.encode(wanted)
    noisy = net.decode(
        latents + 0.1 * torch.randn(latents.shape, generator=run.generator(98), device=run.device)
    )
    got = net.decode(latents)
    return {"psnr": round(psnr(got, wanted), 2), "noisy": round(psnr(noisy, wanted), 2)}
