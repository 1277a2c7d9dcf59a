"""What Route Model Patch does, against guidance of two MODELs that is written out by hand.

patch_script.py COMFYUI CASE ...: prints one JSON object, case -> measurement -> number. Differences are shares of the
control's own effect.
"""

import copy
import json
import sys
from collections.abc import Callable
from typing import Any

from bench import NAMES, SIDE, STEPS, cnet, comfy, pack, torch  # isort: skip
from families import conditioning
from patches import PATCHED, Patched, PatchVae, model_patch
from torch import Tensor

route_model_patch = pack("nodes.comfyui.model_patches").route_model_patch
CFG = 3.0
STRENGTH = 0.8
#: A MODEL for each prompt, at each noise level.
Pair = Callable[[float], tuple[Any, Any]]


class ByHand(comfy.samplers.CFGGuider):
    """Guidance from one prediction of each of two MODELs."""

    def __init__(self, pair: Pair, load: Any) -> None:
        super().__init__(load)
        self._pair = pair

    def predict_noise(
        self, x: Tensor, timestep: Any, model_options: Any = None, seed: int | None = None
    ) -> Tensor:
        found = {}
        for name, model in zip(
            ("positive", "negative"), self._pair(float(timestep.flatten()[0])), strict=True
        ):
            conds = [self.conds[name]]
            options = comfy.model_patcher.create_model_options_clone(model.model_options)
            found[name] = comfy.samplers.calc_cond_batch(
                self.inner_model, conds, x, timestep, options
            )[0]
        return found["negative"] + (found["positive"] - found["negative"]) * CFG


class Bench:
    """One kind of patch at work."""

    def __init__(self, case: Patched, batch: int = 1) -> None:
        comfy.model_management.unload_all_models()
        self.case, self.batch = case, batch
        self.model, self.vae = case.model(), PatchVae(case)  # type: ignore[arg-type]
        numbers = torch.Generator().manual_seed(5)
        self.image = torch.rand(1, SIDE * 8, SIDE * 8, 3, generator=numbers)
        self.net = case.net()
        self.patch = model_patch(self.net)
        self.calls = self.rows = 0
        self.model.model.diffusion_model.register_forward_pre_hook(self._call)
        case.calls(self.net).register_forward_pre_hook(self._net_call)
        self.patched = self.with_patch(STRENGTH)

    def _call(self, *_: Any) -> None:
        self.calls += 1

    def _net_call(self, _: Any, inputs: Any) -> None:
        self.rows += max(len(value) for value in inputs if isinstance(value, torch.Tensor))

    def with_patch(self, strength: float) -> Any:
        """Returns the MODEL as ComfyUI's own node makes it."""
        # Up to 0.12.1 a clone of a MODEL copies its patches with their nets, so each test keeps to one of them.
        return self.case.apply(self.model, self.patch, self.vae, self.image, strength)

    def sample(self, guider: Any) -> Tensor:
        """Returns the latents of a short run; counts its calls."""
        frames = (1,) if self.case.frames else ()
        shape = (self.batch, self.case.channels, *frames, SIDE, SIDE)
        noise = torch.randn(shape, generator=torch.Generator().manual_seed(7))
        case: Any = self.case
        guider.set_conds(conditioning(case, 1), conditioning(case, 2))
        guider.set_cfg(CFG)
        model = guider.model_patcher
        sampling = model.get_model_object("model_sampling")
        sigmas = comfy.samplers.calculate_sigmas(sampling, "simple", STEPS)
        sampler = comfy.samplers.ksampler("euler")
        self.calls = self.rows = 0
        with torch.inference_mode():
            start = torch.zeros(shape)
            return guider.sample(noise, start, sampler, sigmas, disable_pbar=True, seed=7)

    def by_hand(self, positive: Any, negative: Any) -> Tensor:
        """Returns the latents of guidance from two MODELs."""
        return self.sample(ByHand(lambda sigma: (positive, negative), self.patched))

    def routed(self, routing: Any = None, scales: Any = None, **more: Any) -> Tensor:
        """Returns the latents of our node."""
        model = route_model_patch(self.patched, routing, scales, **more)
        return self.sample(_guider(model))


def _guider(model: Any) -> Any:
    return comfy.samplers.CFGGuider(model)


def measure(name: str) -> dict[str, Any]:
    """Returns all measurements of a kind."""
    bench, found = Bench(PATCHED[name]), {}
    routing, scales = cnet.HintRouting, cnet.BlockScales
    plain = bench.sample(_guider(bench.model))
    both = bench.sample(_guider(bench.patched))
    effect = float((both - plain).abs().max())
    found["effect"] = effect / float(plain.abs().max())

    def share(a: Tensor, b: Tensor) -> float:
        return float((a - b).abs().max()) / effect

    found["both"] = share(bench.routed(), both)
    found["both calls"], found["both rows"] = bench.calls, bench.rows
    cond = bench.by_hand(bench.patched, bench.model)
    found["cond_only"] = share(bench.routed(routing.cond_only()), cond)
    found["cond_only calls"], found["cond_only rows"] = bench.calls, bench.rows
    uncond = bench.by_hand(bench.model, bench.patched)
    found["uncond_only"] = share(bench.routed(routing.uncond_only()), uncond)
    mixed = bench.by_hand(bench.patched, bench.with_patch(STRENGTH / 2))
    found["weighted"] = share(bench.routed(routing.weighted(1.0, 0.5)), mixed)
    halved = bench.by_hand(bench.with_patch(STRENGTH / 2), bench.model)
    curve = scales.uniform().over_time([(0, 0.5)])
    found["curve"] = share(bench.routed(routing.cond_only(), curve), halved)
    found["window"] = share(bench.routed(start_percent=0.4), late(bench))
    found["blocks"] = share(bench.routed(None, one_block_less(bench)), without_last(bench))
    found["copy"] = share(copied(bench), cond)
    found["batch"] = pictures(name, share)
    found.update(errors(bench))
    return found


def late(bench: Bench) -> Tensor:
    """A run with the patch in the last 60 percent alone, by hand."""
    half = bench.model.get_model_object("model_sampling").percent_to_sigma(0.4)

    def pair(sigma: float) -> tuple[Any, Any]:
        model = bench.patched if sigma <= half else bench.model
        return model, model

    return bench.sample(ByHand(pair, bench.patched))


def one_block_less(bench: Bench) -> Any:
    """Scales without the last own block, the finest detail."""
    return cnet.BlockScales.custom([0.0] + [1.0] * (bench.case.blocks - 1))


def without_last(bench: Bench) -> Tensor:
    """A run without what the net's last block adds, whose output is set to zero."""
    other = Bench(bench.case)
    last_outputs(other.net)
    return other.sample(_guider(other.patched))


def last_outputs(net: Any) -> None:
    """Sets the weights to zero by which the last own block of a net adds."""
    if hasattr(net, "proj_out"):
        layers = [net.proj_out[-1]]
    elif hasattr(net, "control_layers"):
        layers = [net.control_layers[-1].after_proj]
    elif hasattr(net, "controlnet_blocks"):
        layers = [net.controlnet_blocks[-1].output_proj]
    else:
        names = [name for name in net.module_names if name.startswith("lllite_dit_blocks_27_")]
        layers = [net.get_submodule(name).up for name in names]
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()


def copied(bench: Bench) -> Tensor:
    """A run after a deep copy of the options, as ComfyUI up to 0.12.1 makes at every clone."""
    model = route_model_patch(bench.patched, cnet.HintRouting.cond_only())
    model.model_options = copy.deepcopy(model.model_options)
    return bench.sample(_guider(model.clone()))


def pictures(name: str, share: Any) -> float:
    """Two pictures in one batch."""
    bench = Bench(PATCHED[name], batch=2)
    expected = bench.by_hand(bench.patched, bench.model)
    return share(bench.routed(cnet.HintRouting.cond_only()), expected)


def errors(bench: Bench) -> dict[str, str]:
    """What is refused."""
    routed = route_model_patch(bench.patched)
    cases = {
        "no patch": lambda: route_model_patch(bench.model),
        "routed twice": lambda: route_model_patch(routed),
        "wrong count": lambda: route_model_patch(
            bench.patched, None, cnet.BlockScales.custom([1.0] * 3)
        ),
        "resolution": lambda: route_model_patch(bench.patched, None, cnet.BlockScales.resolution()),
        "another's class": lambda: route_model_patch(_with_namesake(bench)),
    }
    return {name: _error(case) for name, case in cases.items()}


def _with_namesake(bench: Bench) -> Any:
    """Returns a MODEL with a patch of other code that carries the name of ComfyUI's class."""
    model = bench.model.clone()
    namesake = type("DiffSynthCnetPatch", (), {"__call__": lambda self, call: call})()
    model.set_model_double_block_patch(namesake)
    return model


def _error(case: Callable[[], Any]) -> str:
    try:
        case()
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: measure(name) for name in NAMES or PATCHED}) + "\n")
