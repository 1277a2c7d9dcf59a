"""Control where the weights do not stay on the device, and under torch.compile."""

from typing import Any

from bench import Bench, comfy  # isort: skip
from comfy_api.torch_helpers import set_torch_compile_wrapper
from counting_backend import CountingBackend
from torch import Tensor


def low_vram(bench: Bench, both: Tensor, share: Any) -> dict[str, Any]:
    """A run whose weights stay off the device, as with next to no memory."""
    management = comfy.model_management
    scarce = {
        "is_device_cpu": lambda device: False,
        "get_free_memory": lambda device=None, torch_free_too=False: (
            (1, 1) if torch_free_too else 1
        ),
        "vram_state": management.VRAMState.NO_VRAM,
    }
    kept = {name: getattr(management, name) for name in scarce}
    management.unload_all_models()
    for name, value in scarce.items():
        setattr(management, name, value)
    try:
        found = bench.sample(bench.ours())
        patchers = [loaded.model for loaded in management.current_loaded_models]
    finally:
        for name, value in kept.items():
            setattr(management, name, value)
    management.unload_all_models()
    return {"low VRAM": share(found, both), "loaded": sum(p.loaded_size() for p in patchers)}


def compiled(bench: Bench, both: Tensor, share: Any) -> dict[str, Any]:
    """A run whose model torch.compile traces, without generating code, and how many graphs it traced."""
    model, backend = bench.ours(), CountingBackend()
    set_torch_compile_wrapper(model, backend=backend)
    found = bench.sample(model)
    return {"compiled": share(found, both), "graphs": backend.graphs}
