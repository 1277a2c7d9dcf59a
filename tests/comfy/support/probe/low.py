"""Little memory, on a machine that has enough: so that weights stay off the device and are streamed."""

import json

import comfy.model_management as management
from comfy.patcher_extension import WrappersMP

from .record import _folder


def _next_to_nothing(device=None, torch_free_too=False):
    return (1, 1) if torch_free_too else 1


class ProbeLowMemory:
    """Makes ComfyUI believe, while a MODEL is sampled, that its device has next to no memory."""

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": ("MODEL",), "name": ("STRING", {})}}

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "probe"

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return float("nan")

    def patch(self, model, name):
        management.unload_all_models()
        model = model.clone()
        required = []

        def sample(executor, *args, **kwargs):
            kept = {
                n: getattr(management, n)
                for n in ("is_device_cpu", "get_free_memory", "vram_state")
            }
            management.is_device_cpu = lambda device: False
            management.get_free_memory = _next_to_nothing
            management.vram_state = management.VRAMState.NO_VRAM
            load = management.load_models_gpu

            def spy(models, memory_required=0, **options):
                required.append(float(memory_required))
                return load(models, memory_required=memory_required, **options)

            management.load_models_gpu = spy
            try:
                return executor(*args, **kwargs)
            finally:
                management.load_models_gpu = load
                for key, value in kept.items():
                    setattr(management, key, value)

        def unet(executor, *args, **kwargs):
            loaded = {
                type(m.model.model).__name__: [m.model.loaded_size(), m.model.model_size()]
                for m in management.current_loaded_models
            }
            report = {"loaded": loaded, "required": required}
            (_folder() / f"{name}.json").write_text(json.dumps(report))
            return executor(*args, **kwargs)

        model.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, "probe_low", sample)
        model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "probe_low", unet)
        return (model,)
