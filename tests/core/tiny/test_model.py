"""The embedded model, trained: the laws of guidance and routing on it, with few steps."""

import pytest
import torch
from torch import Tensor

import cnet_core as cn
from cnet_core.diffusion.samplers import last
from cnet_core.tiny import TinyStableDiffusion
from cnet_core.tiny.colours import NAMES
from cnet_core.tiny.measure import ground_colours, iou, saturation, thing_mask
from cnet_core.tiny.scenes import draw as draw_scene
from cnet_core.tiny.scenes import random_scene
from cnet_core.tiny.sketches import draw_edges

SCENE = random_scene(4, torch.Generator().manual_seed(77))
PICTURES, COVER = draw_scene(SCENE, 128)
HINTS = draw_edges(PICTURES)
#: Too few steps to follow a hint, enough to see what guidance does.
FEW = {"steps": 4, "count": 2}


@pytest.fixture(scope="module")
def model() -> TinyStableDiffusion:
    return TinyStableDiffusion.load()


def draw(
    model: TinyStableDiffusion,
    routing: cn.HintRouting | None,
    *,
    empty: bool = False,
    cfg_scale: float = 7.5,
    steps: int = 10,
    count: int = 4,
) -> Tensor:
    """The scenes' first pictures."""
    units = (
        []
        if routing is None
        else [cn.ControlUnit(model.control_net, HINTS[:count], routing=routing)]
    )
    prompts = [""] * count if empty else SCENE.prompts()[:count]
    return model.decode(last(model.sample(prompts, steps=steps, cfg_scale=cfg_scale, units=units)))


def test_it_follows_hint_and_prompt(model: TinyStableDiffusion) -> None:
    pictures = draw(model, cn.HintRouting.cond_only())
    assert float(iou(thing_mask(pictures), COVER > 0.5).mean()) > 0.85
    assert [NAMES[i] for i in ground_colours(pictures)] == list(SCENE.backgrounds)


def test_without_control_it_does_not_know_the_place(model: TinyStableDiffusion) -> None:
    assert float(iou(thing_mask(draw(model, None)), COVER > 0.5).mean()) < 0.7


def test_empty_prompt_on_both_branches_has_no_guidance(model: TinyStableDiffusion) -> None:
    weak, strong = (
        draw(model, cn.HintRouting.both(), empty=True, cfg_scale=g, **FEW) for g in (1.5, 12.0)
    )
    # equal rows of a batch may differ in the last digits
    assert float((weak - strong).abs().max()) < 1e-2


def test_empty_prompt_on_cond_only_burns(model: TinyStableDiffusion) -> None:
    both, cond_only = (
        float(saturation(draw(model, r, empty=True, **FEW)).mean())
        for r in (cn.HintRouting.both(), cn.HintRouting.cond_only())
    )
    assert cond_only > 4 * both


def test_a_batch_gives_what_single_pictures_give(model: TinyStableDiffusion) -> None:
    together = last(model.sample(["", "a red fox"], steps=2, seed=5))
    alone = last(model.sample(["a red fox"], steps=2, seed=6))
    torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-4)


def test_embedded_files_are_small() -> None:
    from cnet_core.tiny.model import WEIGHTS

    assert sum(f.stat().st_size for f in WEIGHTS.glob("*.safetensors")) <= 36e6
