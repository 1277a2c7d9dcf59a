"""Models, nets and patches out of the ordinary, most of which our nodes must refuse."""

import json
from dataclasses import fields

import comfy.cldm.cldm
import comfy.controlnet
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.supported_models
import comfy.t2i_adapter.adapter
import torch
import torch.nn.functional as F
from comfy.ldm.flux.model import FluxParams
from comfy.patcher_extension import WrappersMP

from .common import node
from .models import randomise

FLUX = {field.name for field in fields(FluxParams)}

#: Models without a UNet -> ComfyUI's class of them, and arguments that make a tiny one.
NO_UNETS = {
    "Flux": (
        comfy.supported_models.Flux,
        {
            "image_model": "flux",
            "in_channels": 16,
            "out_channels": 16,
            "vec_in_dim": 32,
            "context_in_dim": 32,
            "hidden_size": 64,
            "mlp_ratio": 2.0,
            "num_heads": 1,
            "depth": 1,
            "depth_single_blocks": 1,
            "axes_dim": [16, 24, 24],
            "theta": 10000,
            "patch_size": 2,
            "qkv_bias": True,
            "guidance_embed": False,
            # Newer versions have no default for it, older ones do not know it.
            **({"txt_ids_dims": []} if "txt_ids_dims" in FLUX else {}),
        },
    ),
    "SD3": (
        comfy.supported_models.SD3,
        {
            "in_channels": 16,
            "out_channels": 16,
            "patch_size": 2,
            "depth": 1,
            "input_size": None,
            "adm_in_channels": 32,
            "context_embedder_config": {
                "target": "torch.nn.Linear",
                "params": {"in_features": 32, "out_features": 64},
            },
            "num_patches": 1024,
            "pos_embed_max_size": 32,
            "pos_embed_scaling_factor": None,
        },
    ),
}


@node(("MODEL",), kind=(list(NO_UNETS), {}))
class ProbeNoUNet:
    """A MODEL of another kind: no UNet."""

    def run(self, kind):
        make, arguments = NO_UNETS[kind]
        config = make(dict(arguments))
        config.set_inference_dtype(torch.float32, None)
        cpu = torch.device("cpu")
        return (comfy.model_patcher.ModelPatcher(config.get_model({}, "", cpu), cpu, cpu),)


@node(("CONTROL_NET",))
class ProbeNoNet:
    """Something on a CONTROL_NET socket that is no control net."""

    def run(self):
        return (torch.nn.Identity(),)


@node(("CONTROL_NET",), xl="BOOLEAN", seed="INT")
class ProbeT2I:
    """A T2I-Adapter with random weights, 64 wide at the top, through ComfyUI's own loader."""

    def run(self, xl, seed):
        cin = 3 * (16 if xl else 8) ** 2
        shape = {"ksize": 1, "sk": True, "use_conv": False, "xl": xl}
        net = comfy.t2i_adapter.adapter.Adapter([64, 128, 256, 256], 2, cin, **shape)
        randomise(net, seed)
        return (comfy.controlnet.load_controlnet_state_dict(net.state_dict()),)


class AdapterOfAnotherPack(comfy.controlnet.T2IAdapter):
    """What other packs make of ComfyUI's class."""


@node(("CONTROL_NET",), control_net="CONTROL_NET")
class ProbeAdapterOfAnotherPack:
    """The same T2I-Adapter in another pack's class."""

    def run(self, control_net):
        one = control_net
        numbers = (one.channels_in, one.compression_ratio, one.upscale_algorithm, one.device)
        return (AdapterOfAnotherPack(one.t2i_model, *numbers),)


class OfAnotherPack(comfy.controlnet.ControlNet):
    """What other packs make of ComfyUI's class."""


class Advanced(comfy.controlnet.ControlNet):
    """As Advanced-ControlNet marks its own."""

    ACN_VERSION = 1


KINDS = {
    "ControlNet": comfy.controlnet.ControlNet,
    "OfAnotherPack": OfAnotherPack,
    "Advanced": Advanced,
}


@node(("CONTROL_NET",), kind=(list(KINDS), {}), arguments="STRING", seed="INT")
class ProbeWithoutAttention:
    """A ControlNet for a UNet of these arguments, without attention, as SDXL's small ones are."""

    def run(self, kind, arguments, seed):
        values = json.loads(arguments)
        depths = [0] * len(values["transformer_depth"])
        values.update(transformer_depth=depths, transformer_depth_middle=0, context_dim=1)
        for name in ("out_channels", "transformer_depth_output"):
            del values[name]
        net = comfy.cldm.cldm.ControlNet(
            **values, hint_channels=3, dtype=torch.float32, operations=comfy.ops.manual_cast
        )
        randomise(net, seed)
        device = comfy.model_management.get_torch_device()
        return (KINDS[kind](net, load_device=device),)


@node(("CONTROL_NET",), control_net="CONTROL_NET")
class ProbeCompiledNet:
    """Puts a compiled module in the place of a CONTROL_NET's, as TorchCompileControlNet (KJNodes) does."""

    def run(self, control_net):
        control_net.control_model = torch.compile(control_net.control_model)
        return (control_net,)


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
        options = model.model_options["transformer_options"]
        options.get("wrappers", {}).pop(WrappersMP.OUTER_SAMPLE, None)
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeShrink:
    """Shrinks the features, as deep-shrink nodes do."""

    def run(self, model):
        def shrink(h, options):
            return h[..., ::2, ::2] if options["block"][1] == 3 else h

        def grow(h, skip, options):
            return F.interpolate(h, skip.shape[-2:]), skip

        model = model.clone()
        model.set_model_input_block_patch_after_skip(shrink)
        model.set_model_output_block_patch(grow)
        return (model,)
