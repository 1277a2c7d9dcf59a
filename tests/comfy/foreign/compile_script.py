"""A compiled ControlNet of ComfyUI's layers, against the same net as it is: compile_script.py COMFYUI.

Prints one JSON object: case -> [whether the residuals are equal, graphs compiled so far].
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import cnet, comfy, pack, torch  # isort: skip
from counting_backend import CountingBackend
from torch import Tensor

KEY = "zero_convs.0.0.weight"
SHORT = cnet.UNetConfig(
    model_channels=64,
    channel_mult=(1,),
    num_res_blocks=1,
    transformer_depth=(1,),
    middle_depth=-1,
    context_dim=16,
    num_heads=4,
)


def save_net(folder: Path) -> Path:
    """Writes a net of two blocks with random weights."""
    net = cnet.ControlNet(SHORT)
    numbers = torch.Generator().manual_seed(1)
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape, generator=numbers) * 0.05
    cnet.save_controlnet(net, folder / "net.safetensors")
    return folder / "net.safetensors"


def inputs(rows: int) -> tuple[Tensor, ...]:
    """Latents, hint features, timesteps and text."""
    numbers = torch.Generator().manual_seed(2)
    x = torch.randn(rows, 4, 4, 4, generator=numbers)
    features = torch.randn(1, 64, 4, 4, generator=numbers)
    return x, features, torch.full((rows,), 500.0), torch.randn(rows, 8, 16, generator=numbers)


def measure(path: Path) -> dict[str, Any]:
    """Returns what happens at changes that ComfyUI makes to a net's layers between steps."""
    loaded = pack("nodes.comfyui.loaded")
    load_path = pack("nodes.comfyui.files").load_path
    pair = [load_path(path), load_path(path, compile=True)]
    plain, compiled = (net.net for net in pair)
    backend = CountingBackend()
    compiled.compile_steps(backend, allows=loaded.uses_plain_weights)
    found: dict[str, Any] = {}

    def compare(case: str, rows: int = 2) -> None:
        first, second = (net.residuals(*inputs(rows)).blocks for net in pair)
        same = all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        found[case] = [same, backend.graphs]

    compare("at first")
    compare("again")
    before = pair[0].residuals(*inputs(2)).skips[0]
    for net in pair:
        shape = net.net.state_dict()[KEY].shape
        net.patcher.add_patches({KEY: (torch.ones(shape) * 0.05,)}, 1.0)
    comfy.model_management.load_models_gpu([net.patcher for net in pair])
    compare("a LoRA")
    found["a LoRA"][0] &= not torch.equal(before, pair[0].residuals(*inputs(2)).skips[0])
    for net in (plain, compiled):
        loaded.cast_weights(net)
    compare("low VRAM")
    compare("low VRAM, another size", rows=1)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        sys.stdout.write(json.dumps(measure(save_net(Path(folder)))) + "\n")
