"""Latents in and out, exactly; failures on demand; what is left in memory."""

import gc
import json
import time
from pathlib import Path

import comfy.model_management
import folder_paths
import torch
from comfy.patcher_extension import WrappersMP
from safetensors.torch import save_file

from .models import COUNTS


def _folder():
    folder = Path(folder_paths.get_output_directory()) / "probe"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class ProbeLatent:
    """Random latents, for img2img and batches of different rows."""

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "width": ("INT", {}),
                "height": ("INT", {}),
                "count": ("INT", {}),
                "seed": ("INT", {}),
            }
        }

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "make"
    CATEGORY = "probe"

    def make(self, width, height, count, seed):
        generator = torch.Generator().manual_seed(seed)
        return ({"samples": torch.randn(count, 4, height, width, generator=generator)},)


class ProbeSave:
    """Saves latents, and the counts under the same name."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"samples": ("LATENT",), "name": ("STRING", {})}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "save"
    CATEGORY = "probe"

    def save(self, samples, name):
        metadata = {"counts": json.dumps(COUNTS)}
        tensors = {"samples": samples["samples"].float().cpu().contiguous()}
        save_file(tensors, str(_folder() / f"{name}.safetensors"), metadata)
        return {"ui": {"saved": [name]}}


class ProbeBreak:
    """Makes the UNet raise at the call of this number."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "call": ("INT", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "probe"

    def patch(self, model, call):
        model = model.clone()
        calls = []

        def wrapper(executor, *args, **kwargs):
            calls.append(1)
            if len(calls) == call:
                raise RuntimeError("probe: broken on purpose")
            return executor(*args, **kwargs)

        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "probe_break", wrapper)
        return (model,)


class ProbeSlow:
    """Makes each UNet call wait, so that a run can be interrupted in its middle."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "seconds": ("FLOAT", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "probe"

    def patch(self, model, seconds):
        model = model.clone()

        def wrapper(executor, *args, **kwargs):
            time.sleep(seconds)
            return executor(*args, **kwargs)

        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "probe_slow", wrapper)
        return (model,)


class ProbeMemory:
    """Writes what lives: loaded models, tensors, runs of ours that should be closed."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}, "optional": {"after": ("LATENT",)}}

    RETURN_TYPES = ()
    OUTPUT_NODE = True
    FUNCTION = "look"
    CATEGORY = "probe"

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return float("nan")

    def look(self, name, after=None):
        gc.collect()
        objects = gc.get_objects()
        loaded = [m.model for m in comfy.model_management.current_loaded_models]
        report = {
            "tensors": sum(isinstance(o, torch.Tensor) for o in objects),
            "records": sum(type(o).__name__ == "Recorder" for o in objects),
            "stacks": sum(type(o).__name__ == "ControlStack" for o in objects),
            "loaded": [type(m.model).__name__ for m in loaded if m is not None],
            "rss": Path("/proc/self/statm").read_text().split()[1],
        }
        (_folder() / f"{name}.json").write_text(json.dumps(report))
        return {"ui": {"saved": [name]}}
