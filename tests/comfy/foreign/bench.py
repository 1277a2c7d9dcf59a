"""A tiny model of ComfyUI's real classes at work, with control of ComfyUI's own or of ours.

The first argument of the script that imports it is the folder of a ComfyUI; the others are in NAMES.
"""

import gc
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

COMFYUI, NAMES = sys.argv[1], sys.argv[2:]
sys.path.insert(0, COMFYUI)
sys.path.append(str(Path(__file__).parents[2] / "support"))
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.model_management  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.utils  # noqa: E402
import torch  # noqa: E402
from families import Family, Vae, conditioning  # noqa: E402
from torch import Tensor  # noqa: E402

REPOSITORY = Path(__file__).parents[3]
SIDE, STEPS, CFG = 8, 2, 3.0


def pack(name: str) -> Any:
    """Imports a module of the pack without running its `__init__`s."""
    for package in ("pack", "pack.nodes"):
        module = types.ModuleType(package)
        module.__path__ = [str(REPOSITORY.joinpath(*package.split(".")[1:]))]
        sys.modules.setdefault(package, module)
    bridge = types.ModuleType("pack.nodes.comfyui")
    bridge.__path__ = [str(REPOSITORY / "nodes" / "comfyui")]
    sys.modules.setdefault("pack.nodes.comfyui", bridge)
    return __import__(f"pack.{name}", fromlist=["x"])


apply_control_net = pack("nodes.comfyui.apply").apply_control_net
route_control_net = pack("nodes.comfyui.route").route_control_net
cnet = pack("cnet_core")
KEY = pack("nodes.comfyui.wrappers").KEY


class Bench:
    """One family at work."""

    def __init__(self, family: Family, batch: int = 1, hints: int = 1) -> None:
        gc.collect()  # ComfyUI walks through its list of models: none may be freed meanwhile
        comfy.model_management.unload_all_models()  # a VAE's hints load all models again, also those that are gone
        self.family, self.batch = family, batch
        self.model, self.net, self.vae = family.model(), family.net(), Vae(family)
        numbers = torch.Generator().manual_seed(5)
        self.image = torch.rand(hints, SIDE * 8, SIDE * 8, 3, generator=numbers)
        self.painted = (torch.rand(1, SIDE * 8, SIDE * 8, generator=numbers) > 0.5).float()
        self.calls = self.rows = self.longer = 0
        self.fitted: Tensor | None = None  # the picture of native control, where it is another
        self.model.model.diffusion_model.register_forward_pre_hook(self._call)
        inner = getattr(self.net, "control_model", None) or self.net.t2i_model
        inner.register_forward_pre_hook(self._net, with_kwargs=True)

    def _call(self, *_: Any) -> None:
        self.calls += 1

    def _net(self, module: Any, args: Any, kwargs: Any) -> None:
        self.rows += len(kwargs["x"] if "x" in kwargs else args[0])

    @property
    def inputs(self) -> dict[str, Any]:
        """Further inputs of the node."""
        more = {"inpaint_mask": self.painted} if self.family.inpaint else {}
        return {**more, **({"vae": self.vae} if self.family.latents else {})}

    def sample(
        self,
        model: Any,
        positive: Any = None,
        negative: Any = None,
        steps: int = STEPS,
        guider: Any = None,
    ) -> Tensor:
        """Returns the latents of a short run; counts its calls."""
        family, frames = self.family, (1,) if self.family.frames else ()
        shape = (self.batch, family.channels, *frames, SIDE, SIDE)
        numbers = torch.Generator().manual_seed(7)
        noise, latent = torch.randn(shape, generator=numbers), torch.zeros(shape)
        guider = comfy.samplers.CFGGuider(model) if guider is None else guider
        guider.set_conds(self.cond(1, positive), self.cond(2, negative))
        guider.set_cfg(CFG)
        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", steps)
        sampler = comfy.samplers.ksampler("euler")
        self.calls = self.rows = 0
        with torch.inference_mode():
            return guider.sample(noise, latent, sampler, sigmas, disable_pbar=True, seed=7)

    def cond(self, seed: int, control: Any) -> Any:
        """Returns a conditioning, with a native control if any."""
        longer = self.longer if seed == 2 else 0
        found = conditioning(replace(self.family, tokens=self.family.tokens + longer), seed)
        if control is not None:
            more = {"control": control, "control_apply_to_uncond": False}
            found = [[text, {**extras, **more}] for text, extras in found]
        return found

    def native(self, strength: float = 1.0, window: Any = (0.0, 1.0), net: Any = None) -> Any:
        """Returns the control as ComfyUI's own nodes put it on a conditioning."""
        image, extra = self.image if self.fitted is None else self.fitted, []
        if self.family.inpaint:
            mask = 1.0 - self.painted.reshape(-1, 1, *self.painted.shape[-2:])
            size = (image.shape[2], image.shape[1])
            kept = comfy.utils.common_upscale(mask, *size, "bilinear", "center").round()
            image, extra = image * kept.movedim(1, -1).repeat(1, 1, 1, 3), [mask]
        hint = image.movedim(-1, 1)
        copied = (self.net if net is None else net).copy()
        return copied.set_cond_hint(hint, strength, window, vae=self.vae, extra_concat=extra)

    def ours(self, routing: Any = None, scales: Any = None, model: Any = None, **more: Any) -> Any:
        """Returns a MODEL with the control on it."""
        numbers = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0, **self.inputs, **more}
        model = self.model if model is None else model
        return apply_control_net(
            model, self.net, self.image, routing=routing, scales=scales, **numbers
        )
