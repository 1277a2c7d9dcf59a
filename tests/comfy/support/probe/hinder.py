"""Runs that fail, wait, or have next to no memory."""

import json
import time

import comfy.model_management as management
from comfy.patcher_extension import WrappersMP

from .common import folder, node, wrapped


@node(("MODEL",), always=True, model="MODEL", call="INT")
class ProbeBreak:
    """Makes the UNet raise at the call of this number."""

    def run(self, model, call):
        return (_at_call(model, call, _raise),)


@node(("MODEL",), always=True, model="MODEL", call="INT")
class ProbeInterrupt:
    """Interrupts the prompt at the UNet call of this number, as POST /interrupt does."""

    def run(self, model, call):
        return (_at_call(model, call, management.interrupt_current_processing),)


@node(("MODEL",), model="MODEL", seconds="FLOAT")
class ProbeSlow:
    """Makes each UNet call wait, so that a run can be interrupted in its middle."""

    def run(self, model, seconds):
        def wait(executor, *args, **kwargs):
            time.sleep(seconds)
            return executor(*args, **kwargs)

        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, wait),)


@node(("MODEL",), always=True, model="MODEL", name="STRING", state="STRING")
class ProbeLowMemory:
    """Makes ComfyUI believe, while a MODEL is sampled, that its device has next to no memory.

    So weights stay off the device and are streamed, on a machine that has enough. It writes what was loaded and how
    much memory was asked for. `state` names ComfyUI's memory mode, for example NO_VRAM.
    """

    def run(self, model, name, state):
        management.unload_all_models()
        required = []
        load = management.load_models_gpu

        def asked(models, memory_required=0, **options):
            required.append(float(memory_required))
            return load(models, memory_required=memory_required, **options)

        scarce = {
            "is_device_cpu": lambda device: False,
            "get_free_memory": _next_to_nothing,
            "vram_state": management.VRAMState[state],
            "load_models_gpu": asked,
        }

        def sample(executor, *args, **kwargs):
            kept = {key: getattr(management, key) for key in scarce}
            for key, value in scarce.items():
                setattr(management, key, value)
            try:
                return executor(*args, **kwargs)
            finally:
                for key, value in kept.items():
                    setattr(management, key, value)

        def unet(executor, *args, **kwargs):
            patchers = [m.model for m in management.current_loaded_models if m.model is not None]
            loaded = {type(p.model).__name__: [p.loaded_size(), p.model_size()] for p in patchers}
            report = {"loaded": loaded, "required": required}
            (folder() / f"{name}.json").write_text(json.dumps(report))
            return executor(*args, **kwargs)

        model = wrapped(model, WrappersMP.OUTER_SAMPLE, sample)
        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, unet),)


def _at_call(model, call, act):
    """Returns a clone of a MODEL that acts at the start of the UNet call of this number."""
    calls = []

    def unet(executor, *args, **kwargs):
        calls.append(1)
        if len(calls) == call:
            act()
        return executor(*args, **kwargs)

    return wrapped(model, WrappersMP.DIFFUSION_MODEL, unet)


def _raise():
    raise RuntimeError("probe: broken on purpose")


def _next_to_nothing(device=None, torch_free_too=False):
    return (1, 1) if torch_free_too else 1
