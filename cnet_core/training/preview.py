"""Previews of a net during training: pictures drawn from the same noise each time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion.samplers import ddim, last
from ..nets.controlnet import ControlNet
from .base import Text, TrainingBase
from .locked import add_residuals, decode, encode
from .order import generator_of


@dataclass(frozen=True)
class Preview:
    """Held-out hints and prompts, and how to draw them."""

    base: TrainingBase
    hints: Tensor  # (N, 3, H, W), 0..1
    prompts: tuple[str, ...]
    steps: int = 10  # of DDIM
    cfg_scale: float = 1.0  # 1 means no guidance; control goes to both branches

    @torch.no_grad()
    def draw(self, net: ControlNet, *, empty: bool = False) -> Tensor:
        """Returns one picture per hint: (N, 3, H, W), nominally 0..1; `empty`: without prompts."""
        weights = next(self.base.unet.parameters())
        count, _, height, width = self.hints.shape
        prompts = [""] * count if empty else self.prompts
        branches = [prompts] if self.cfg_scale == 1 else [[""] * count, prompts]
        texts = [self.base.text(branch, height, width).to(net.dtype) for branch in branches]
        features = net.hint_features(self.hints.to(weights.device, net.dtype))

        def predict(x: Tensor, timesteps: Tensor) -> Tensor:
            found = [_noise(self.base, net, x, features, timesteps, text) for text in texts]
            return found[0] + self.cfg_scale * (found[-1] - found[0]) if found[1:] else found[0]

        shape = (count, 4, height // 8, width // 8)
        noise = torch.randn(shape, generator=generator_of("preview")).to(weights.device)
        steps = ddim(predict, noise, self.steps, self.base.objective.alphas_cumprod)
        return self.base.decode(last(steps)).float().cpu()


def sheet(rows: Sequence[Tensor]) -> Tensor:
    """Returns rows of pictures (N, 3, H, W) as one picture (3, rows*H, N*W), clamped to 0..1."""
    return torch.cat([torch.cat(list(row), dim=-1) for row in rows], dim=-2).clamp(0, 1)


def _noise(
    base: TrainingBase,
    net: ControlNet,
    x: Tensor,
    features: Tensor,
    timesteps: Tensor,
    text: Text,
) -> Tensor:
    """Returns the predicted noise, in float32: with very little signal it is nearly `x`, and the rest is small."""
    residuals = net.residuals(x.to(net.dtype), features, timesteps, text.context, text.y)
    encoded = encode(base.unet, x, timesteps, text.context, text.y)
    prediction = decode(base.unet, add_residuals(encoded, residuals))
    return base.objective.noise_of(prediction.float(), x, timesteps.long())
