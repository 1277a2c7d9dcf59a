"""Tiny models other than Stable Diffusion, with a control net or patch and all that a KSampler needs."""

import sys
from pathlib import Path

import torch

from .common import COUNTS, node

FOREIGN = Path(__file__).resolve().parents[2] / "foreign"
REST = ("VAE", "CONDITIONING", "CONDITIONING", "LATENT")


@node(("MODEL", "CONTROL_NET", *REST), name="STRING")
class ProbeFamily:
    """A model of a family with its control net, VAE, two prompts and empty latents; counts the model's calls."""

    def run(self, name):
        import families

        family = families.FAMILIES[name]
        model = family.model()
        _count(model.model.diffusion_model, f"calls of {name}")
        return (model, family.net(), families.Vae(family), *_rest(families, family))


@node(("MODEL", "MODEL_PATCH", *REST), name="STRING")
class ProbePatched:
    """As ProbeFamily, with a patch of the model."""

    def run(self, name):
        import families
        import patches

        case = patches.PATCHED[name]
        model, net = case.model(), case.net()
        _count(model.model.diffusion_model, f"calls of {name}")
        patch = patches.model_patch(net)
        return (model, patch, patches.PatchVae(case), *_rest(families, case))


def _rest(families, family):
    prompts = [families.conditioning(family, seed) for seed in (1, 2)]
    frames = (1,) if family.frames else ()
    return (*prompts, {"samples": torch.zeros(1, family.channels, *frames, 8, 8)})


def _count(module, name):
    calls = COUNTS.setdefault(name, [])
    module.register_forward_pre_hook(lambda *_: calls.append(1))


if str(FOREIGN) not in sys.path:
    sys.path.append(str(FOREIGN))
