"""Random models, conds and pictures; the same for the same seed."""

import json

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.utils
import folder_paths
import torch

from .common import generator, node


class _Config(comfy.supported_models_base.BASE):
    unet_extra_config = {}
    latent_format = comfy.latent_formats.SD15
    memory_usage_factor = 1.0


class _SD15(comfy.supported_models.SD15):
    """Is an SD1.5 to packs that ask for the class, and takes its heads from the arguments."""

    unet_extra_config = {}


class _WithVector(comfy.model_base.BaseModel):
    def encode_adm(self, **kwargs):
        return kwargs["pooled_output"]


@node(("MODEL",), arguments="STRING", seed="INT")
class ProbeModel:
    """A UNet of ComfyUI's with random weights; `arguments` is JSON for UNetModel."""

    def run(self, arguments, seed):
        return (random_model(json.loads(arguments), seed),)


def random_model(values, seed, disable_dynamic=False):
    """Returns a ModelPatcher, in the dtype that ComfyUI's options ask for."""
    management = comfy.model_management
    config = (_Config if values.get("adm_in_channels") else _SD15)(values)
    device = management.get_torch_device()
    dtype = management.unet_dtype(
        model_params=-1, supported_dtypes=config.supported_inference_dtypes
    )
    config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device))
    kind = _WithVector if values.get("adm_in_channels") else comfy.model_base.BaseModel
    model = kind(config)
    if values["in_channels"] > 4:
        model.set_inpaint()
    randomise(model.diffusion_model, seed)
    patcher = comfy.model_patcher.ModelPatcher(model, device, management.unet_offload_device())
    patcher.cached_patcher_init = (random_model, (values, seed))
    return patcher


def randomise(net, seed):
    """Draws new weights."""
    numbers = generator(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            centre = 1.0 if parameter.dim() == 1 and name.endswith("weight") else 0.0
            noise = torch.randn(parameter.shape, generator=numbers)
            fan_in = max(1, parameter[0].numel()) if parameter.dim() > 1 else 100
            parameter.copy_(centre + noise * 0.7 / fan_in**0.5)


@node(("CLIP",), seed="INT")
class ProbeClip:
    """SD1.x's text encoder with one layer and random weights, and its own tokens."""

    def run(self, seed):
        kinds = comfy.sd1_clip.SD1Tokenizer, comfy.sd1_clip.SD1ClipModel
        target = comfy.supported_models_base.ClipTarget(*kinds)
        clip = comfy.sd.CLIP(
            target, model_options={"clip_l_model_config": {"num_hidden_layers": 1}}
        )
        randomise(clip.cond_stage_model, seed)
        return (clip,)


@node(("CONDITIONING",), width="INT", seed="INT", vector=("INT", {"default": 0}))
class ProbeConditioning:
    """Random text embeddings (1, tokens, width), and a random vector for SDXL."""

    def run(self, width, seed, vector=0):
        numbers = generator(seed)
        cond = torch.randn(1, 7, width, generator=numbers)
        extras = {"pooled_output": torch.randn(1, vector, generator=numbers)} if vector else {}
        return ([[cond, extras]],)


@node(
    ("IMAGE",),
    {"value": ("STRING", {"default": ""})},
    width="INT",
    height="INT",
    count="INT",
    seed="INT",
)
class ProbePicture:
    """Noise as pictures (count, height, width, 3), or all of one value."""

    def run(self, width, height, count, seed, value=""):
        picture = torch.rand(count, height, width, 3, generator=generator(seed))
        return (torch.full_like(picture, float(value)) if value else picture,)


@node(("LATENT",), width="INT", height="INT", count="INT", seed="INT")
class ProbeLatent:
    """Random latents, for img2img and batches of different rows."""

    def run(self, width, height, count, seed):
        return ({"samples": torch.randn(count, 4, height, width, generator=generator(seed))},)


@node(("LORA_MODEL",))
class ProbeLora:
    """The random LoRA as its tensors, which but for this a training alone gives."""

    def run(self):
        path = folder_paths.get_full_path("loras", "random.safetensors")
        return (comfy.utils.load_torch_file(path, safe_load=True),)
