"""Things that our nodes must refuse."""

import comfy.controlnet
import comfy.model_patcher
import comfy.supported_models_base
import torch
from comfy.patcher_extension import WrappersMP

from .common import node


class Transformer(torch.nn.Module):
    """A model without a UNet's blocks."""

    dtype = torch.float32


class _Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.diffusion_model = Transformer()
        self.model_config = comfy.supported_models_base.BASE({})


@node(("MODEL",))
class ProbeNoUNet:
    """A MODEL like Flux: no UNet."""

    def run(self):
        cpu = torch.device("cpu")
        return (comfy.model_patcher.ModelPatcher(_Model(), cpu, cpu),)


@node(("CONTROL_NET",))
class ProbeAdapter:
    """A CONTROL_NET that is no ControlNet."""

    def run(self):
        return (comfy.controlnet.T2IAdapter(torch.nn.Identity(), 3, 8, "nearest-exact"),)


@node(("MODEL",), model="MODEL")
class ProbeOddRows:
    """Calls the model with a number of rows that its conds do not divide."""

    def run(self, model):
        def odd(apply_model, arguments):
            given = arguments["c"]
            cut = {k: v[:1] if isinstance(v, torch.Tensor) else v for k, v in given.items()}
            out = apply_model(arguments["input"][:1], arguments["timestep"][:1], **cut)
            return torch.cat([out] * len(arguments["input"]))

        model = model.clone()
        model.set_model_unet_function_wrapper(odd)
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeNoWrappers:
    """Takes the wrappers of the whole run away, as guiders with a second model do."""

    def run(self, model):
        model = model.clone()
        model.wrappers.pop(WrappersMP.OUTER_SAMPLE, None)
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeShrink:
    """Shrinks the features without being a known node."""

    def run(self, model):
        def shrink(h, options):
            return h[..., ::2, ::2] if options["block"][1] == 3 else h

        model = model.clone()
        model.set_model_input_block_patch_after_skip(shrink)
        return (model,)
