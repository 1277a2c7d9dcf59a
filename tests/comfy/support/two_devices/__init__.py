"""Makes ComfyUI believe that the CPU is two devices, so that what it spreads over several GPUs can be run without."""

import comfy.model_management
import torch

DEVICES = [torch.device("cpu"), torch.device("cpu", 0)]


def _devices(exclude_current=False):
    current = comfy.model_management.get_torch_device()
    return [device for device in DEVICES if not (exclude_current and device == current)]


comfy.model_management.get_all_torch_devices = _devices
NODE_CLASS_MAPPINGS = {}
