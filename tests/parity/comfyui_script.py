"""One comparison with ComfyUI, in a process of its own: comfyui_script.py COMFYUI CASE FOLDER; exit 0 = equal."""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

COMFYUI, CASE, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
sys.path.insert(0, COMFYUI)
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.controlnet  # noqa: E402
import comfy.ops  # noqa: E402
from comfy.cldm.cldm import ControlNet  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from fakes import randomise_  # noqa: E402

import cnet_core as cn  # noqa: E402
from cnet_core.checkpoints.container.files import read_tensors, write_tensors  # noqa: E402
from cnet_core.checkpoints.formats.control_lora import extract_low_rank  # noqa: E402
from cnet_core.checkpoints.low_rank import save_low_rank  # noqa: E402
from cnet_core.nets.low_rank import LowRankControlNet  # noqa: E402
from cnet_core.tiny.model import WEIGHTS, TinyStableDiffusion  # noqa: E402

HEADS, WIDTHS = {"num_heads": 8}, {"num_head_channels": 64, "use_linear_in_transformer": True}
SD = {"channel_mult": (1, 1, 2, 2), "num_res_blocks": [2] * 4, "transformer_depth_middle": 1}
ATTENTION = [1, 1, 1, 1, 1, 1, 0, 0]
XL = {
    **WIDTHS,
    "channel_mult": (1, 1, 2),
    "num_res_blocks": [2] * 3,
    "num_classes": "sequential",
    "adm_in_channels": 40,
}
CONFIGS = {
    "sd15": {**SD, **HEADS, "transformer_depth": ATTENTION},
    "sd21": {**SD, **WIDTHS, "transformer_depth": ATTENTION},
    "sdxl_full": {**XL, "transformer_depth": [0, 0, 2, 2, 3, 3], "transformer_depth_middle": 3},
    "sdxl_mid": {**XL, "transformer_depth": [0, 0, 0, 0, 1, 1], "transformer_depth_middle": 1},
    "sdxl_small": {**XL, "transformer_depth": [0] * 6, "transformer_depth_middle": 0},
    "union": {
        **XL,
        "model_channels": 320,
        "transformer_depth": [0] * 6,
        "transformer_depth_middle": 0,
        "union_controlnet_num_control_type": 8,
    },
}
COMMON = {
    "image_size": 8,
    "in_channels": 4,
    "model_channels": 64,
    "use_spatial_transformer": True,
    "context_dim": 48,
    "legacy": False,
    "dtype": torch.float32,
    "operations": comfy.ops.disable_weight_init,
}


def main() -> None:
    with torch.no_grad():
        CASES[CASE]()


def compare_controlnet(name: str) -> None:
    """Residuals of ComfyUI's class and of its weights as we load them."""
    net = their_net(name)
    path = FOLDER / "net.safetensors"
    save(net, path)
    types = {"control_types": ["tile"]} if name == "union" else {}
    check_residuals(net, cn.load_controlnet(path), {"control_type": [6]} if types else {}, types)


def compare_lora() -> None:
    """Residuals of ComfyUI's ControlLora and of our loader, from a file that we extracted."""
    unet, net = their_unet(), their_net("sd15")
    weights, base = dict(net.state_dict()), dict(unet.state_dict())
    tensors, _ = extract_low_rank(weights, base, "net", rank=4)
    write_tensors(tensors, FOLDER / "lora.safetensors", {})
    control = comfy.controlnet.load_controlnet(str(FOLDER / "lora.safetensors"))
    control.pre_run(FakeModel(unet), lambda percent: 1.0)
    check_residuals(
        control.control_model, cn.load_controlnet(FOLDER / "lora.safetensors", base=unet)
    )


def compare_trained_lora() -> None:
    """Residuals of ComfyUI's ControlLora, from the file of a net that trains in low rank, and of that net."""
    unet, net = low_rank_net(origin=None)
    save_low_rank(net, FOLDER / "lora.safetensors")
    control = comfy.controlnet.load_controlnet(str(FOLDER / "lora.safetensors"))
    assert type(control) is comfy.controlnet.ControlLora
    control.pre_run(FakeModel(unet), lambda percent: 1.0)
    check_residuals(control.control_model, net)


def refuse_lora_of_a_controlnet() -> None:
    """ComfyUI takes a LoRA of a ControlNet for no ControlNet, rather than for one with other weights."""
    _, net = low_rank_net(origin="the digest of a net")
    save_low_rank(net, FOLDER / "lora.safetensors")
    assert comfy.controlnet.load_controlnet(str(FOLDER / "lora.safetensors")) is None


def low_rank_net(origin: str | None) -> tuple[nn.Module, LowRankControlNet]:
    """ComfyUI's UNet, and a net that learned in low rank on it, with norms, zero convs and hint encoder of its own."""
    theirs = their_unet()
    unet = cn.UNet(
        cn.UNetConfig(model_channels=64, channel_mult=(1, 1, 2, 2), context_dim=48, num_heads=8)
    )
    unet.load_state_dict(theirs.state_dict())
    net = LowRankControlNet(cn.ControlNet.from_unet(unet), 4, origin=origin)
    draw = torch.Generator().manual_seed(8)
    for value in net.learned.values():
        value.copy_(torch.randn(value.shape, generator=draw) * 0.05)
    return theirs, net.requires_grad_(False)


def compare_difference() -> None:
    """A difference file of ours, made whole by ComfyUI's loader and by ours."""
    net = light_net()
    unet = cn.UNet(net.config)
    randomise_(unet, 3)
    path = FOLDER / "difference.safetensors"
    cn.save_controlnet(net, path, layout="difference", base=unet)
    whole = {f"diffusion_model.{k}": v for k, v in unet.state_dict().items()}
    comfy.model_management.load_models_gpu = lambda models: None
    check_loaded(net, comfy.controlnet.load_controlnet(str(path), FakePatcher(whole)), 1e-6)


def compare_embedded() -> None:
    """The embedded files, unchanged and strictly in ComfyUI's classes: the same prediction and residuals."""
    config = {**COMMON, **CONFIGS["sd15"], "num_heads": 4, "context_dim": 64}
    unet = UNetModel(out_channels=4, **config, transformer_depth_output=[1] * 9 + [0] * 3)
    net = ControlNet(hint_channels=3, **config)
    for module, name in ((unet, "unet"), (net, "control_net")):
        file = read_tensors(WEIGHTS / f"{name}.safetensors")[0]
        module.load_state_dict({k: v.float() for k, v in file.items()}, strict=True)
    ours = TinyStableDiffusion.load()
    generator = torch.Generator().manual_seed(0)
    x, context = (torch.randn(2, *s, generator=generator) for s in ((4, 16, 16), (8, 64)))
    hint = (torch.rand(2, 3, 128, 128, generator=generator) > 0.9).float()
    timesteps = torch.tensor([900, 200])
    close(ours.unet(x, timesteps, context), unet(x, timesteps, context))
    want = net(x, hint, timesteps, context)
    got = ours.control_net(x, hint, timesteps, context)
    for a, b in zip(got.blocks, [*want["output"], *want["middle"]], strict=True):
        close(a, b)


def close(got: Tensor, want: Tensor) -> None:
    worst = float((got - want).abs().max()) / float(want.abs().max())
    assert worst <= 1e-5, worst


def load_ours(layout: str, net: cn.ControlNet) -> None:
    """ComfyUI's loader takes our layout strictly, bit for bit."""
    path = FOLDER / "net.safetensors"
    cn.save_controlnet(net, path, layout=layout)
    check_loaded(net, comfy.controlnet.load_controlnet(str(path)), 0)


def sdxl_small() -> cn.ControlNet:
    """Full width, since ComfyUI knows diffusers files by their exact widths; every weight another."""
    config = cn.UNetConfig.from_dict(
        {**cn.SDXL.to_dict(), "transformer_depth": [0, 0, 0], "middle_depth": 0}
    )
    with torch.device("meta"):
        net = cn.ControlNet(config).half()
    net.to_empty(device="cpu")
    for index, weight in enumerate(net.parameters()):
        weight.copy_(torch.arange(weight.numel()).remainder(2039 + index).reshape(weight.shape))
    return net


def light_net() -> cn.ControlNet:
    """ComfyUI knows SD1.5 by width 320 and text width 768; the levels may be narrow."""
    return randomise_(cn.ControlNet(cn.UNetConfig(channel_mult=(1, 1, 1, 1))), 2)


def check_loaded(net: cn.ControlNet, control: object, tolerance: float) -> None:
    model = control.control_model
    want, have = net.state_dict(), model.state_dict()
    assert want.keys() == have.keys(), want.keys() ^ have.keys()
    worst = max(float((v.float() - have[k].float()).abs().max()) for k, v in want.items())
    assert worst <= tolerance, worst


def their_net(name: str) -> nn.Module:
    return randomise_(ControlNet(hint_channels=3, **{**COMMON, **CONFIGS[name]}), 5)


def their_unet() -> nn.Module:
    config = {**COMMON, **CONFIGS["sd15"], "transformer_depth_output": [1] * 9 + [0] * 3}
    unet = UNetModel(out_channels=4, **config)
    return randomise_(unet, 6)


class FakeModel:
    """What ControlLora reads of a model."""

    manual_cast_dtype = None
    model_sampling = None

    def __init__(self, unet: nn.Module) -> None:
        self.diffusion_model = unet
        config = {**COMMON, **CONFIGS["sd15"], "out_channels": 4}
        self.model_config = type("Config", (), {"unet_config": config})

    def get_dtype(self) -> torch.dtype:
        return torch.float32


class FakePatcher:
    """What the loader of difference files reads of a MODEL."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        self.weights = weights

    def model_state_dict(self) -> dict[str, Tensor]:
        return self.weights


def save(net: nn.Module, path: Path) -> None:
    write_tensors(dict(net.state_dict()), path, {})


def check_residuals(
    theirs: nn.Module, ours: cn.ControlNet, their_more: dict | None = None, more: dict | None = None
) -> None:
    noise = torch.Generator().manual_seed(7)
    x = torch.randn(2, 4, 8, 8, generator=noise)
    timesteps, context = torch.tensor([801.0, 17.0]), torch.randn(2, 5, 48, generator=noise)
    y = None if ours.config.y_dim is None else torch.randn(2, 40, generator=noise)
    hint = torch.rand(1, 3, 64, 64, generator=noise)
    expected = theirs(x, hint.expand(2, -1, -1, -1), timesteps, context, y, **(their_more or {}))
    found = ours(x, hint, timesteps, context, y, **(more or {}))
    pairs = zip(found.blocks, [*expected["output"], *expected["middle"]], strict=True)
    worst = max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)
    assert worst < 1e-5, worst


CASES: dict[str, Callable[[], None]] = {
    **{name: (lambda name=name: compare_controlnet(name)) for name in CONFIGS},
    "lora": compare_lora,
    "trained_lora": compare_trained_lora,
    "controlnet_lora": refuse_lora_of_a_controlnet,
    "embedded": compare_embedded,
    "difference": compare_difference,
    "load_ldm": lambda: load_ours("ldm", light_net()),
    "load_diffusers": lambda: load_ours("diffusers", sdxl_small()),
}

main()
