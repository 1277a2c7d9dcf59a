"""The settings of a benchmark, and the random nets and inputs for them."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ..nets.casting import CASTING_OPS
from ..nets.config import SD15, SDXL, UNetConfig
from ..nets.controlnet import HINT_DOWNSCALE, ControlNet
from ..nets.unet import UNet

FAMILIES = {"sd15": SD15, "sdxl": SDXL}
#: Tokens of a prompt.
TOKENS = 77


@dataclass(frozen=True)
class BenchSettings:
    """What to measure."""

    family: str = "sd15"
    width: float = 1.0  # fraction of the released width; attention heads keep theirs
    side: int = 512  # of the pictures, in pixels
    pictures: int = 1  # the UNet's batch is twice that: uncond and cond
    rounds: int = 5
    device: str = "cpu"
    dtype: str = "float32"
    ways: tuple[str, ...] = ()  # of doing a step; all where none is named
    prompt_steps: int | None = None  # of a prompt in ComfyUI; else 3 on a CPU, elsewhere 20
    comfyui: Path | None = None  # where a ComfyUI is
    comfyui_python: str | None = None  # the Python that has its requirements
    comfyui_options: tuple[str, ...] = ()  # of its command line
    compile: bool = False  # whether the library's ControlNet runs through torch.compile

    def __post_init__(self) -> None:
        if self.side % 64 or self.side < 64:
            raise ValueError(f"`--side` is {self.side}; it must be a multiple of 64.")
        steps = 1 if self.prompt_steps is None else self.prompt_steps
        if min(self.pictures, self.rounds, steps) < 1:
            raise ValueError("`--pictures`, `--rounds` and `--prompt-steps` must be at least 1.")
        _ = self.config  # an impossible width raises at once

    @property
    def config(self) -> UNetConfig:
        """The nets' shape: the family's, at the requested width."""
        full = FAMILIES[self.family]
        channels = round(full.model_channels * self.width)
        scaled = replace(full, model_channels=channels)
        if not isinstance(full.num_heads, int):
            return scaled
        return scaled.with_heads(max(1, round(full.num_heads * self.width)), None)

    @property
    def latent(self) -> int:
        """The latents' side."""
        return self.side // HINT_DOWNSCALE

    @property
    def torch_dtype(self) -> torch.dtype:
        """The dtype of nets and inputs."""
        return getattr(torch, self.dtype)

    def nets(self) -> tuple[UNet, ControlNet]:
        """Returns a UNet and a ControlNet with random weights, zero convs included.

        The ControlNet has the layers of a net from a file.
        """
        device = torch.device(self.device)
        with torch.random.fork_rng([device] * (device.type == "cuda")), self.build_on_device():
            torch.manual_seed(0)
            unet, drawn = UNet(self.config), ControlNet(self.config)
        net = ControlNet(self.config, ops=CASTING_OPS)
        net.load_state_dict(drawn.state_dict(), assign=True)
        for module in (unet, net):
            module.requires_grad_(False)
        return unet, net

    @contextmanager
    def build_on_device(self) -> Generator[None]:
        """Within it, nets are made on the device and in the dtype, as drawn elsewhere they take time and room."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(self.torch_dtype)
        try:
            with torch.device(self.device):
                yield
        finally:
            torch.set_default_dtype(before)

    def inputs(self) -> dict[str, Tensor]:
        """Returns the UNet's arguments for one step, uncond rows first."""
        rows, config = 2 * self.pictures, self.config
        given = {
            "x": _noise(rows, config.in_channels, self.latent, self.latent),
            "timesteps": torch.full((rows,), 500.0),
            "context": _noise(rows, TOKENS, config.context_dim),
        }
        if config.y_dim is not None:
            given["y"] = _noise(rows, config.y_dim)
        device = torch.device(self.device)
        return {
            name: tensor.to(device, torch.float32 if name == "timesteps" else self.torch_dtype)
            for name, tensor in given.items()
        }

    def hint(self) -> Tensor:
        """Returns a hint of noise, 0..1."""
        return _noise(1, 3, self.side, self.side).sigmoid().to(self.device)


def _noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))
