"""Stage 3: the UNet and its text, trained together to predict the noise in latents."""

from dataclasses import dataclass

import torch
from compiling import CompiledWhenReady
from fitting import Plan, WorldRun, fit
from samples import Pool, Samples
from torch import Tensor, nn

from cnet_core.diffusion.noise_schedule import TIMESTEPS, alphas_cumprod
from cnet_core.nets.unet import UNet
from cnet_core.tiny.autoencoder import Autoencoder
from cnet_core.tiny.model import TINY
from cnet_core.tiny.prompts import training_tokens
from cnet_core.tiny.scenes import check_pairs, draw, held_out_pairs, random_scene
from cnet_core.tiny.sketches import training_hints
from cnet_core.tiny.text import TextEmbedding

EMPTY_PROMPTS = 0.1
#: min-SNR weighting (Hang et al., arXiv 2303.09556): noise that hardly hides the latents counts less.
MOST_SNR = 1.5
#: On a CPU: samples in the pool, and how often each is used.
POOL, USES = 20_000, 4


@dataclass(frozen=True)
class Sizes:
    """What a stage's batches are like: mostly `side`, at times larger pictures in smaller batches."""

    side: int
    batch: int
    large_side: int = 0
    large_every: int = 10

    def pool(self, run: WorldRun) -> int:
        """Returns the size of the pool: samples of one size, on a CPU, are used several times."""
        return POOL if run.device.type == "cpu" and not self.large_side else 0

    def of(self, step: int) -> tuple[int, int]:
        """Returns the side and the batch of a step."""
        if self.large_side and step % self.large_every == self.large_every - 1:
            return self.large_side, max(2, self.batch * self.side**2 // self.large_side**2)
        return self.side, self.batch


class TextToNoise(nn.Module):
    """UNet and text as one module; returns the loss of a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(TINY)
        self.text = TextEmbedding()

    def forward(self, batch: "Batch") -> Tensor:
        return batch.loss(self.unet(batch.noisy, batch.timesteps, self.text.embed(batch.tokens)))


@dataclass(frozen=True)
class Batch:
    """Noisy latents, what was added, both conditions."""

    noisy: Tensor
    noise: Tensor
    timesteps: Tensor
    weight: Tensor
    tokens: Tensor
    hints: Tensor | None

    def loss(self, prediction: Tensor) -> Tensor:
        """Returns the weighted mean square of the error."""
        return ((prediction.float() - self.noise).square().mean((1, 2, 3)) * self.weight).mean()


class Stream:
    """Draws batches on the run's device; held-out colour pairs never come.

    With a pool, most of a batch was drawn before: it gets other noise and another prompt, and costs nothing to draw.
    Saved states do not hold the pool, so a resumed stage draws other samples than one that was not stopped.
    """

    def __init__(
        self,
        encoder: Autoencoder,
        run: WorldRun,
        generator: torch.Generator,
        *,
        pool: int,
        hints: bool = False,
    ) -> None:
        self.encoder, self.run, self.generator, self.hints = encoder, run, generator, hints
        self.alphas = alphas_cumprod().to(run.device)
        ratio = self.alphas / (1 - self.alphas)
        weight = ratio.clamp(max=MOST_SNR) / ratio
        self.weights = weight / weight.mean()
        self.pairs = ~held_out_pairs().to(run.device)
        check_pairs(self.pairs)
        self.pool = Pool(pool) if pool else None

    def draw(self, side: int, count: int, empty: float, other_kinds: float = 0.0) -> Batch:
        """Returns a batch: all new, or mostly from the pool."""
        if self.pool is None:
            return self.noise(self.make(side, count), empty, other_kinds)
        new = max(1, count // USES) if self.pool.filled >= USES * count else count
        samples = self.pool.mix(self.make(side, new), count, self.generator)
        return self.noise(samples, empty, other_kinds)

    @torch.no_grad()
    def make(self, side: int, count: int) -> Samples:
        """Returns new samples."""
        scene = random_scene(count, self.generator, self.pairs)
        pictures, cover = draw(scene, side)
        hints = scene.kind.new_empty(count, 0)
        if self.hints:
            lines = training_hints(pictures, cover, self.generator)[:, :1]
            hints = (lines * 255).round().byte()
        latents = self.encoder.encode(pictures)
        return Samples(latents, scene.kind, scene.colour, scene.ground, hints)

    @torch.no_grad()
    def noise(self, samples: Samples, empty: float, other_kinds: float) -> Batch:
        """Returns samples at random timesteps, with prompts."""
        generator, device, latents = self.generator, self.run.device, samples.latents
        count = len(latents)
        spread = torch.rand(count, generator=generator, device=device)
        # Each part of the range comes as often.
        spread = (torch.arange(count, device=device) + spread) / count
        timesteps = (spread * TIMESTEPS).long().clamp(max=TIMESTEPS - 1)
        noise = torch.randn(latents.shape, generator=generator, device=device)
        alpha = self.alphas[timesteps][:, None, None, None]
        noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
        lines = samples.hints.float().expand(-1, 3, -1, -1) / 255 if self.hints else None
        return Batch(
            noisy=self.run.cast(noisy),
            noise=noise,
            timesteps=timesteps,
            weight=self.weights[timesteps],
            tokens=training_tokens(samples.scene(), empty, generator, other_kinds=other_kinds),
            hints=None if lines is None else self.run.cast(lines),
        )


def train(
    run: WorldRun,
    plan: Plan,
    sizes: Sizes,
    encoder: Autoencoder,
    name: str,
    start: nn.Module | None,
) -> TextToNoise:
    """Returns the averaged UNet and text."""
    torch.manual_seed(2)
    module = TextToNoise().to(run.device)
    if start is not None:
        module.load_state_dict(start.state_dict())
    generator = run.generator(21 + sizes.side)
    stream = Stream(encoder, run, generator, pool=sizes.pool(run))
    call = CompiledWhenReady(module, name, run, plan.seconds_left(name, run))

    def loss_of(step: int) -> Tensor:
        side, count = sizes.of(step)
        batch = stream.draw(side, count, EMPTY_PROMPTS)
        with run.autocast():
            return call(batch) if side == sizes.side else module(batch)

    return fit(name, module, loss_of, plan, run, generator)
