"""Held-out scenes of the embedded world, and pictures that the embedded model draws of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cnet_core.diffusion.samplers import last
from cnet_core.engine.stack import ControlUnit
from cnet_core.tiny.demo import ROWS
from cnet_core.tiny.model import SIDE, TinyStableDiffusion
from cnet_core.tiny.scenes import ThingScene, check_pairs, draw, random_scene
from cnet_core.tiny.sketches import draw_edges

#: Held-out scenes come from this seed; training uses others.
SEED = 4242
STEPS, CFG_SCALE = 20, 7.5
#: Pictures that are drawn at once, by kind of device.
BATCH = {"cuda": 96, "cpu": 24}


@dataclass(frozen=True)
class HeldOut:
    """Scenes from seeds that no training uses."""

    scene: ThingScene
    pictures: Tensor  # (B, 3, side, side), 0..1
    cover: Tensor  # (B, side, side), 0..1: how far each pixel is the thing's
    edges: Tensor  # (B, 3, side, side), 0 or 1: the pictures' edges, as hints

    @property
    def inside(self) -> Tensor:
        """Where the things are: (B, side, side), bool."""
        return self.cover > 0.5


def draw_held_out(
    count: int,
    seed: int = SEED,
    *,
    side: int = SIDE,
    pairs: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> HeldOut:
    """Returns `count` scenes with their pictures, on a device; `pairs` as for `random_scene`."""
    if pairs is not None:
        check_pairs(pairs)
    scene = random_scene(count, torch.Generator(device).manual_seed(seed), pairs)
    pictures, cover = draw(scene, side)
    return HeldOut(scene, pictures, cover, draw_edges(pictures))


def sample_row(
    model: TinyStableDiffusion,
    prompts: Sequence[str],
    row: str,
    hints: Tensor | None = None,
    *,
    side: int = SIDE,
    cfg_scale: float = CFG_SCALE,
) -> Tensor:
    """Returns the pictures (B, 3, side, side), not clamped, of one row of the demonstration; picture i has seed i.

    Args:
        model: on any device.
        prompts: one per picture.
        row: a key of ROWS.
        hints: (B, 3, side, side); needed if the row has control.
        side: of the pictures, in pixels.
        cfg_scale: of the guidance.
    """
    how = ROWS[row]
    batch = BATCH[model.text.positions.device.type]
    found: list[Tensor] = []
    for begin in range(0, len(prompts), batch):
        part = slice(begin, begin + batch)
        units: list[ControlUnit] = []
        if how is not None:
            if hints is None:
                raise ValueError(f"The row {row!r} has control, so it needs hints.")
            units = [ControlUnit(model.control_net, hints[part], routing=how[0], scales=how[1])]
        steps = model.sample(
            prompts[part], steps=STEPS, cfg_scale=cfg_scale, seed=begin, side=side, units=units
        )
        found.append(model.decode(last(steps)))
    return torch.cat(found)
