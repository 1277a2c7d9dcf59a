"""Nodes that `cnet bench` adds to a ComfyUI: a UNet of random weights, texts for it, and the arithmetic limit.

ComfyUI loads this folder by its path, with a Python that may lack cnet_core.
"""

import json
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

KEY = "cnet_bench"
#: ComfyUI's description of a node's inputs.
NodeInputs = dict[str, dict[str, tuple[Any, ...]]]


class CnetBenchModel:
    """A UNet of ComfyUI's own classes with random weights."""

    @classmethod
    def INPUT_TYPES(cls) -> NodeInputs:
        return {"required": {"arguments": ("STRING", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = KEY

    def run(self, arguments: str) -> tuple[Any]:
        """Returns the MODEL; `arguments` is JSON for UNetModel."""
        management = import_module("comfy.model_management")
        values = json.loads(arguments)
        config = _config(values)
        device = management.get_torch_device()
        dtype = management.unet_dtype(
            model_params=-1, supported_dtypes=config.supported_inference_dtypes
        )
        config.set_inference_dtype(dtype, management.unet_manual_cast(dtype, device))
        base = import_module("comfy.model_base").BaseModel
        kind = (
            type("WithVector", (base,), {"encode_adm": _vector})
            if "adm_in_channels" in values
            else base
        )
        model = kind(config)
        _randomise(model.diffusion_model, device)
        patcher = import_module("comfy.model_patcher").ModelPatcher
        return (patcher(model, device, management.unet_offload_device()),)


def _vector(model: object, **given: Any) -> Tensor:
    return given["pooled_output"]


def _config(values: dict[str, Any]) -> Any:
    formats = import_module("comfy.latent_formats")
    sort: dict[str, Any] = {
        "unet_extra_config": {},
        "latent_format": formats.SD15,
        "memory_usage_factor": 1.0,
    }
    return type("Config", (import_module("comfy.supported_models_base").BASE,), sort)(values)


@torch.no_grad()
def _randomise(unet: torch.nn.Module, device: torch.device) -> None:
    """Draws every weight so that features keep their size: growing or vanishing figures would change the times."""
    numbers = torch.Generator(device).manual_seed(0)
    for name, parameter in unet.named_parameters():  # ComfyUI leaves them uninitialised
        if parameter.dim() > 1:
            drawn = torch.randn(parameter.shape, generator=numbers, device=device)
            parameter.copy_(drawn * (0.7 / parameter[0].numel() ** 0.5))
        else:
            parameter.fill_(float(name.endswith("weight")))


class CnetBenchText:
    """Random text embeddings, and a random vector for SDXL."""

    @classmethod
    def INPUT_TYPES(cls) -> NodeInputs:
        names = ("tokens", "width", "vector", "seed")
        return {"required": dict.fromkeys(names, ("INT", {"max": 2**31}))}

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "run"
    CATEGORY = KEY

    def run(self, tokens: int, width: int, vector: int, seed: int) -> tuple[Any]:
        """Returns a CONDITIONING."""
        numbers = torch.Generator().manual_seed(seed)
        extras = {"pooled_output": torch.randn(1, vector, generator=numbers)} if vector else {}
        return ([[torch.randn(1, tokens, width, generator=numbers), extras]],)


class CnetBenchLimit:
    """A MODEL whose UNet runs its own encoder and middle again, on all rows or on the cond rows."""

    @classmethod
    def INPUT_TYPES(cls) -> NodeInputs:
        return {"required": {"model": ("MODEL",), "rows": (["all", "cond"],)}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "run"
    CATEGORY = KEY

    def run(self, model: Any, rows: str) -> tuple[Any]:
        """Returns a clone of the model."""

        def once_more(executor: Any, *args: Any, **kwargs: Any) -> Any:
            _encoder_and_middle(executor.class_obj, *_of_rows(rows, *args))
            return executor(*args, **kwargs)

        clone = model.clone()
        clone.add_wrapper_with_key("diffusion_model", KEY, once_more)
        return (clone,)


def _of_rows(
    rows: str,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor,
    y: Tensor | None,
    control: object,
    options: dict[str, Any],
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Returns a call's arguments for the wanted rows; ComfyUI's guider has cond at 0."""
    if rows == "all":
        return x, timesteps, context, y
    conds = options["cond_or_uncond"]
    each = len(x) // len(conds)
    part = slice(each * conds.index(0), each * (conds.index(0) + 1))
    return x[part], timesteps[part], context[part], None if y is None else y[part]


def _encoder_and_middle(
    unet: Any, x: Tensor, timesteps: Tensor, context: Tensor, y: Tensor | None
) -> None:
    embedding = import_module("comfy.ldm.modules.diffusionmodules.util").timestep_embedding
    emb = unet.time_embed(embedding(timesteps, unet.model_channels).to(x.dtype))
    if y is not None:
        emb = emb + unet.label_emb(y)
    for block in (*unet.input_blocks, unet.middle_block):
        x = block(x, emb, context)


class CnetBenchEnd:
    """The end of a prompt. Reports the peak of a GPU's memory since the end of the previous one."""

    stays = 0  # bytes in use when the previous prompt ended

    @classmethod
    def INPUT_TYPES(cls) -> NodeInputs:
        return {"required": {"samples": ("LATENT",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "run"
    CATEGORY = KEY

    def run(self, samples: Any) -> dict[str, Any]:
        """Refuses latents that are not finite: their times would mean nothing."""
        if not bool(torch.isfinite(samples["samples"]).all()):
            raise ValueError("The latents are not finite.")
        if import_module("comfy.model_management").get_torch_device().type != "cuda":
            return {"ui": {}}
        peak = torch.cuda.max_memory_allocated() - CnetBenchEnd.stays
        CnetBenchEnd.stays = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return {"ui": {"peak": [peak]}}


NODE_CLASS_MAPPINGS = {
    kind.__name__: kind for kind in (CnetBenchModel, CnetBenchText, CnetBenchLimit, CnetBenchEnd)
}
