"""Our linear layers in ComfyUI beside its own, in a process of its own: layers_script.py COMFYUI; exit 0 = equal."""

import importlib.util
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[3]
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.ops  # noqa: E402


def main() -> None:
    """Compares a deep linear layer for tokens that take the weights first and for others, in three dtypes.

    Only layers that cast nothing take them first; those of a net from a file in float32 are such.
    """
    torch.set_num_threads(2)
    ours, first = _pack("nodes.bridge.ops").OPS, _pack("cnet_core.few_pixels")
    files, loaded = _pack("nodes.bridge.files"), _pack("nodes.bridge.loaded")
    net = files.load_path(ROOT / "cnet_core/tiny/weights/control_net.safetensors").net
    assert not any(getattr(layer, "comfy_cast_weights", False) for layer in net.modules())
    calls: list[torch.Tensor] = []
    weights_first = first.weights_first
    first.weights_first = lambda x, *rest: calls.append(x) or weights_first(x, *rest)
    for dtype in (torch.float32, torch.float16, torch.float8_e4m3fn):
        for tokens, whole in ((64, True), (77, False)):
            for patched in (False, True):
                layer, theirs = (
                    _layer(layers, dtype, patched) for layers in (ours, comfy.ops.manual_cast)
                )
                casts = dtype != torch.float32
                if casts:
                    loaded.cast_weights(layer)
                x = torch.ones(2, tokens, 1280).cumsum(1).sin()
                torch.testing.assert_close(layer(x), theirs(x))
                assert bool(calls) == (whole and not casts and not patched), (dtype, tokens)
                calls.clear()


def _pack(module: str) -> object:
    """Returns a module of the pack, which ComfyUI too loads from its folder."""
    if "pack" not in sys.modules:
        spec = importlib.util.spec_from_file_location("pack", ROOT / "__init__.py")
        sys.modules["pack"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["pack"])
    return importlib.import_module(f"pack.{module}")


def _layer(layers: object, dtype: torch.dtype, patched: bool) -> torch.nn.Linear:
    layer = layers.Linear(1280, 1024, device="cpu", dtype=torch.float32)
    generator = torch.Generator().manual_seed(0)
    for name, shape in (("weight", (1024, 1280)), ("bias", (1024,))):
        drawn = torch.randn(shape, generator=generator).to(dtype)
        setattr(layer, name, torch.nn.Parameter(drawn, requires_grad=False))
    if patched:
        layer.weight_function = [lambda weight: 2 * weight]
    return layer


main()
