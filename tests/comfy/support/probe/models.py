"""Random models, conds and pictures; the same for the same seed."""

import json

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.supported_models_base
import torch
from comfy.patcher_extension import WrappersMP

COUNTS: dict[str, list] = {}


def _generator(seed):
    return torch.Generator().manual_seed(seed)


class _Config(comfy.supported_models_base.BASE):
    unet_extra_config = {}
    latent_format = comfy.latent_formats.SD15
    memory_usage_factor = 1.0


class _WithVector(comfy.model_base.BaseModel):
    def encode_adm(self, **kwargs):
        return kwargs["pooled_output"]


class ProbeModel:
    """A UNet of ComfyUI's with random weights; `arguments` is JSON for UNetModel."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"arguments": ("STRING", {}), "seed": ("INT", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "make"
    CATEGORY = "probe"

    def make(self, arguments, seed):
        values = json.loads(arguments)
        config = _Config(values)
        config.set_inference_dtype(torch.float32, None)
        kind = _WithVector if values.get("adm_in_channels") else comfy.model_base.BaseModel
        model = kind(config)
        if values["in_channels"] > 4:
            model.set_inpaint()
        generator = _generator(seed)
        with torch.no_grad():
            for name, parameter in model.diffusion_model.named_parameters():
                centre = 1.0 if parameter.dim() == 1 and name.endswith("weight") else 0.0
                noise = torch.randn(parameter.shape, generator=generator)
                fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 100
                parameter.copy_(centre + noise * 0.7 / fan_in**0.5)
        device = comfy.model_management.get_torch_device()
        offload = comfy.model_management.unet_offload_device()
        return (comfy.model_patcher.ModelPatcher(model, device, offload),)


class ProbeConditioning:
    """Random text embeddings (1, tokens, width), and a random vector for SDXL."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "width": ("INT", {}),
                "seed": ("INT", {}),
                "vector": ("INT", {"default": 0}),
            }
        }

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "make"
    CATEGORY = "probe"

    def make(self, width, seed, vector=0):
        generator = _generator(seed)
        cond = torch.randn(1, 7, width, generator=generator)
        extras = {"pooled_output": torch.randn(1, vector, generator=generator)} if vector else {}
        return ([[cond, extras]],)


class ProbePicture:
    """Noise as pictures (count, height, width, 3), or all of one value."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "width": ("INT", {}),
                "height": ("INT", {}),
                "count": ("INT", {}),
                "seed": ("INT", {}),
            },
            "optional": {"value": ("STRING", {"default": ""})},
        }

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "make"
    CATEGORY = "probe"

    def make(self, width, height, count, seed, value=""):
        picture = torch.rand(count, height, width, 3, generator=_generator(seed))
        return (torch.full_like(picture, float(value)) if value else picture,)


class ProbeCount:
    """Counts the UNet calls of a MODEL under a name, as lists of rows."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "count"
    CATEGORY = "probe"

    def count(self, model, name):
        model = model.clone()
        COUNTS[name] = []

        def wrapper(executor, *args, **kwargs):
            COUNTS[name].append(args[5].get("cond_or_uncond"))
            return executor(*args, **kwargs)

        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "probe_" + name, wrapper)
        return (model,)

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return float("nan")


class ProbeCountNet:
    """Counts the rows of each run of a ControlNet under a name."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"control_net": ("CNET_CONTROL_NET",), "name": ("STRING", {})}}

    RETURN_TYPES = ("CNET_CONTROL_NET",)
    FUNCTION = "count"
    CATEGORY = "probe"

    def count(self, control_net, name):
        COUNTS[name] = []

        def hook(module, arguments, output):
            COUNTS[name].append(len(output))

        control_net.net.zero_convs[0].register_forward_hook(hook)
        return (control_net,)
