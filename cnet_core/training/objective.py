"""What the UNet is trained to predict, and its error: eps- and v-prediction, min-SNR weighting."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from torch import Tensor

from ..diffusion.noise_schedule import alphas_cumprod

Prediction = Literal["epsilon", "v_prediction"]


@dataclass(frozen=True)
class Objective:
    """The noise schedule of a base model, and what its UNet predicts."""

    prediction: Prediction = "epsilon"
    alphas_cumprod: Tensor = field(default_factory=alphas_cumprod)  # fraction of signal by timestep

    @property
    def timesteps(self) -> int:
        """How many noise levels there are; the timesteps are 0 … this - 1."""
        return len(self.alphas_cumprod)

    def add_noise(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Returns sqrt(a) * latents + sqrt(1 - a) * noise, with a by row (Ho et al., arXiv 2006.11239, eq. 4)."""
        signal, rest = self._roots(timesteps, latents)
        return signal * latents + rest * noise

    def target(self, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Returns what the UNet should predict: the noise, or v = sqrt(a) * noise - sqrt(1 - a) * latents.

        v is from Salimans and Ho, arXiv 2202.00512, section 4.
        """
        if self.prediction == "epsilon":
            return noise
        signal, rest = self._roots(timesteps, latents)
        return signal * noise - rest * latents

    def noise_of(self, prediction: Tensor, noisy: Tensor, timesteps: Tensor) -> Tensor:
        """Returns the noise that a prediction implies."""
        if self.prediction == "epsilon":
            return prediction
        signal, rest = self._roots(timesteps, noisy)
        return signal * prediction + rest * noisy

    def losses(
        self, prediction: Tensor, target: Tensor, timesteps: Tensor, min_snr: float | None = None
    ) -> Tensor:
        """Returns the mean squared error of each row in float32, weighted by its timestep: (B,).

        Args:
            prediction, target: (B, C, H, W).
            timesteps: (B,), 0 … timesteps - 1.
            min_snr: gamma; the weight is min(SNR, gamma) / SNR for eps, and / (SNR + 1) for v
                (arXiv 2303.09556, section 3.4), with SNR = a / (1 - a).
        """
        error = (prediction.float() - target.float()).square().flatten(1).mean(1)
        if min_snr is None:
            return error
        alpha = self.alphas_cumprod.to(error.device)[timesteps]
        snr = alpha / (1 - alpha)
        return error * snr.clamp(max=min_snr) / (snr + (self.prediction == "v_prediction"))

    def _roots(self, timesteps: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        alpha = self.alphas_cumprod.to(like.device)[timesteps].reshape(-1, 1, 1, 1)
        return alpha.sqrt().to(like.dtype), (1 - alpha).sqrt().to(like.dtype)


def parse_prediction(name: object) -> Prediction:
    """Returns the prediction type of this name; raises ValueError for an unknown one."""
    for known in get_args(Prediction):
        if name == known:
            return known
    raise ValueError(
        f"The base model predicts {name!r}; ControlNets are trained on 'epsilon' and 'v_prediction' models."
    )
