"""The tiny autoencoder: pictures (B, 3, H, W) in 0..1 <-> latents (B, 4, H/8, W/8) of unit variance."""

import torch
from torch import Tensor, nn

LATENT_CHANNELS = 4
DOWNSCALE = 8


class Autoencoder(nn.Module):
    """A small convolutional autoencoder without attention or norms.

    `calibrate` measures the encoder's output once; from then on latents have zero mean and unit
    variance by channel, so they need no scale factor.
    """

    def __init__(self, fine: int = 48, coarse: int = 128, decoder_blocks: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, fine, 3, padding=1),
            _Residual(fine),
            _Residual(fine),
            nn.Conv2d(fine, coarse, 3, stride=2, padding=1),
            _Residual(coarse),
            _Residual(coarse),
            nn.Conv2d(coarse, LATENT_CHANNELS, 3, padding=1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, coarse, 3, padding=1),
            *(_Residual(coarse) for _ in range(decoder_blocks)),
            nn.Conv2d(coarse, 4 * fine, 3, padding=1),
            nn.PixelShuffle(2),
            _Residual(fine),
            _Residual(fine),
            nn.Conv2d(fine, 16 * 16, 3, padding=1),
            nn.PixelShuffle(4),
            nn.SiLU(),
            nn.Conv2d(16, 3, 3, padding=1),
        )
        self.mean = nn.Buffer(torch.zeros(1, LATENT_CHANNELS, 1, 1))
        self.std = nn.Buffer(torch.ones(1, LATENT_CHANNELS, 1, 1))

    def encode(self, pictures: Tensor) -> Tensor:
        """Returns the latents (B, 4, H/8, W/8) of pictures (B, 3, H, W), 0..1; H and W divisible by 8."""
        return (self.encoder(pictures * 2 - 1) - self.mean) / self.std

    def decode(self, latents: Tensor) -> Tensor:
        """Returns pictures (B, 3, H, W), nominally 0..1 and **not clamped**: what lies outside is saturation."""
        return self.decoder(latents * self.std + self.mean) / 2 + 0.5

    @torch.no_grad()
    def calibrate(self, pictures: Tensor) -> None:
        """Sets the latents' mean and standard deviation by channel from these pictures."""
        raw = self.encoder(pictures * 2 - 1)
        self.mean.copy_(raw.mean(dim=(0, 2, 3), keepdim=True))
        self.std.copy_(raw.std(dim=(0, 2, 3), keepdim=True))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def psnr(a: Tensor, b: Tensor) -> float:
    """Returns the peak signal-to-noise ratio in dB of two pictures in 0..1."""
    return float(-10 * torch.log10((a - b).square().mean()))
