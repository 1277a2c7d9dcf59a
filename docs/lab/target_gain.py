"""What `HintRouting.target_gain` comes to on the embedded model, measured on its noise predictions."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnet_core.control.routing import HintRouting
from cnet_core.diffusion.noise_schedule import add_noise
from cnet_core.engine.stack import ControlUnit
from cnet_core.patching import patch_unet
from cnet_core.tiny.model import SIDE, TinyStableDiffusion
from cnet_core.tiny.scenes import draw, random_scene
from cnet_core.tiny.sketches import draw_edges

#: Held-out scenes come from this seed.
SEED = 4242
TIMESTEPS = (200, 500, 800)
BOTH = HintRouting.both()


@torch.no_grad()
def responses(
    model: TinyStableDiffusion,
    gain: float,
    cfg_scales: Sequence[float],
    *,
    same_text: bool = False,
    strength: float = 0.02,
    scenes: int = 8,
    timesteps: Sequence[int] = TIMESTEPS,
) -> dict[float, Tensor]:
    """Returns, for each CFG scale, how much of control is in the guided noise: (timesteps, scenes).

    That is <d, D> / <D, D>: d is what control with `target_gain(gain)` adds to the guided noise, D what it adds to
    the cond row. With one text in both branches and little strength it is `gain`.

    Args:
        model: the embedded model.
        gain: what is asked for.
        cfg_scales: where to measure.
        same_text: give the uncond rows the scene's prompt too, instead of the null text.
        strength: of control; the prediction is linear in it only where it is small.
        scenes: how many held-out scenes.
        timesteps: how far they are noised.
    """
    probe = _Probe.of(model, scenes, same_text)
    routing = HintRouting.target_gain(gain)
    found: dict[float, list[Tensor]] = {g: [] for g in cfg_scales}
    for t in timesteps:
        plain = probe.noise(t)
        effect = (probe.noise(t, strength) - plain)[1]
        for g in cfg_scales:
            uncond, cond = probe.noise(t, strength, routing, g) - plain
            added = uncond + g * (cond - uncond)
            found[g].append((added * effect).sum((1, 2, 3)) / effect.square().sum((1, 2, 3)))
    return {g: torch.stack(rows) for g, rows in found.items()}


@dataclass(frozen=True)
class _Probe:
    """The embedded model and held-out scenes to ask it about."""

    model: TinyStableDiffusion
    latents: Tensor  # (N, 4, H, W)
    starting_noise: Tensor  # the same
    context: Tensor  # (2N, tokens, width), uncond rows first
    hints: Tensor  # (N, 3, 8H, 8W)

    @classmethod
    def of(cls, model: TinyStableDiffusion, scenes: int, same_text: bool) -> "_Probe":
        generator = torch.Generator().manual_seed(SEED)
        scene = random_scene(scenes, generator)
        pictures, _ = draw(scene, SIDE)
        latents = model.autoencoder.encode(pictures)
        noise = torch.randn(latents.shape, generator=generator)
        texts = scene.prompts() if same_text else [""] * scenes
        context = model.text([*texts, *scene.prompts()])
        return cls(model, latents, noise, context, draw_edges(pictures))

    def noise(
        self,
        timestep: int,
        strength: float = 0.0,
        routing: HintRouting = BOTH,
        cfg_scale: float | None = None,
    ) -> Tensor:
        """Returns the predicted noise (2, N, 4, H, W): of the uncond rows, and of the cond rows."""
        steps = torch.full((len(self.latents),), timestep)
        x = add_noise(self.latents, self.starting_noise, steps)
        unit = ControlUnit(self.model.control_net, self.hints, strength, routing)
        with patch_unet(self.model.unet, unit) as attachment:
            attachment.cfg_scale = cfg_scale
            rows = self.model.unet(torch.cat([x, x]), torch.cat([steps, steps]), self.context)
        return rows.unflatten(0, (2, -1))
