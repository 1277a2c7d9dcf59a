"""What Apply ControlNet does with control nets that are not ours, measured in a process of its own.

script.py COMFYUI CASE ...: prints one JSON object, case -> measurement -> number, or the error that was raised. A case
is a family, or a pair that does not fit. Differences are shares of the control's own effect.
"""

import json
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

COMFYUI, NAMES = sys.argv[1], sys.argv[2:]
sys.path.insert(0, COMFYUI)
sys.argv = [sys.argv[0], "--cpu"]
import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()
import comfy.hooks  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.utils  # noqa: E402
import torch  # noqa: E402
from comfy_api.torch_helpers import set_torch_compile_wrapper  # noqa: E402
from families import FAMILIES, MISMATCHES, Family, Vae, conditioning, sdxl  # noqa: E402
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


def without(bench: Bench, block: int) -> Any:
    """Returns a native control without one of the net's blocks."""
    control = bench.native()
    compute = control.get_control
    left_out = bench.family.entries[block]

    def partial(*args: Any) -> Any:
        found = {key: list(entries) for key, entries in compute(*args).items()}
        for key, index in left_out:
            found[key][index] = torch.zeros_like(found[key][index])
        return found

    control.get_control = partial
    return control


def measure(name: str) -> dict[str, Any]:
    """Returns all measurements of a family."""
    family = FAMILIES[name]
    bench, found = Bench(family), {}
    routing = cnet.HintRouting
    plain = bench.sample(bench.model)
    shared = bench.native()
    both = bench.sample(bench.model, shared, shared)
    effect = float((both - plain).abs().max())
    found["effect"] = effect / float(plain.abs().max())

    def share(a: Tensor, b: Tensor) -> float:
        return float((a - b).abs().max()) / effect

    positive = bench.sample(bench.model, bench.native())
    found["native calls"] = bench.calls
    found["both"] = float((bench.sample(bench.ours()) - both).abs().max())
    found["both calls"], found["both rows"] = bench.calls, bench.rows
    found["cond_only"] = share(bench.sample(bench.ours(routing.cond_only())), positive)
    found["cond_only calls"], found["cond_only rows"] = bench.calls, bench.rows
    negative = bench.sample(bench.model, None, bench.native())
    found["uncond_only"] = share(bench.sample(bench.ours(routing.uncond_only())), negative)
    half = 0.25 if name == "Qwen Fun" else 0.5  # it takes the square root
    mixed = bench.sample(bench.model, bench.native(), bench.native(half))
    found["weighted"] = share(bench.sample(bench.ours(routing.weighted(1.0, 0.5))), mixed)
    found.update(blocks(bench, share))
    found.update(chains(bench, share))
    found.update(batches(bench, share))
    found.update(windows(bench, share))
    found.update(xray(bench))
    found.update(fits(bench, share) if name in ("SD3.5", "T2I SD1.5 full") else {})
    found.update(old_options(bench, both, share) if name in ("SD3.5", "T2I SDXL") else {})
    found.update(low_vram(bench, both, share) if name in ("SD3.5", "T2I SDXL") else {})
    found.update(compiled(bench, both, share) if name == "SD3.5" else {})
    found.update(lengths(bench) if name in ("Qwen InstantX", "Chroma") else {})
    found.update(reuse(bench) if name in ("SD3.5", "T2I SDXL") else {})
    return found


class OldOptions(comfy.samplers.CFGGuider):
    """A guider whose predictions use options that were copied before the sampling began."""

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._options = comfy.model_patcher.create_model_options_clone(model.model_options)

    def predict_noise(
        self, x: Tensor, timestep: Any, model_options: Any = None, seed: int | None = None
    ) -> Tensor:
        conds = [self.conds["positive"], self.conds["negative"]]
        batch = comfy.samplers.calc_cond_batch
        cond, uncond = batch(self.inner_model, conds, x, timestep, self._options)
        return uncond + (cond - uncond) * CFG


def old_options(bench: Bench, both: Tensor, share: Any) -> dict[str, Any]:
    """A run whose calls do not say which run they belong to, and how often it encoded the picture."""
    model, before = bench.ours(), bench.vae.encoded
    found = bench.sample(model, guider=OldOptions(model))
    return {"old options": share(found, both), "encoded": bench.vae.encoded - before}


def fits(bench: Bench, share: Any) -> dict[str, Any]:
    """Pictures of other proportions against native control with pictures that were fitted by hand."""
    square, side, found = bench.image, SIDE * 8, {}
    bands = {"stretch": torch.zeros(1, side, side, 3), "pad": torch.zeros(1, side, side, 3)}
    bands["stretch"][:, : side // 2] = 1.0  # a band of half the height stays one
    bands["pad"][:, :, side // 4 : -side // 4] = square[:, :, : side // 2]
    given = {"stretch": bands["stretch"][:, :, : side // 2], "pad": square[:, :, : side // 2]}
    for fit, picture in given.items():
        bench.fitted = bands[fit]
        control = bench.native()
        expected = bench.sample(bench.model, control, control)
        bench.image, bench.fitted = picture, None
        found[fit] = share(bench.sample(bench.ours(hint_fit=fit)), expected)
        bench.image = square
    return found


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
    """A run whose model torch.compile traces, without generating code."""
    model = bench.ours()
    set_torch_compile_wrapper(model, backend="eager")
    return {"compiled": share(bench.sample(model), both)}


def refusal(name: str) -> str:
    """Returns the error of an input that makes no sense, "" if there is none."""
    family, build = REFUSALS[name]
    try:
        build(Bench(FAMILIES[family]))
    except (TypeError, ValueError, RuntimeError) as error:
        return str(error)
    return ""


def _apply_with_hooks(bench: Bench) -> None:
    bench.net.extra_hooks = comfy.hooks.HookGroup()
    bench.net.extra_hooks.add(comfy.hooks.WeightHook())
    bench.ours()


def _mask_as_advanced_controlnet(bench: Bench) -> None:
    applied = route_control_net(bench.net).copy().set_cond_hint(bench.image.movedim(-1, 1))
    applied.set_cond_hint_mask(torch.ones(1, 8, 8))


def _answer_without_the_model(bench: Bench) -> None:
    model = bench.ours()
    model.set_model_unet_function_wrapper(lambda apply, given: given["input"])
    bench.sample(model)


#: What is refused -> a family, and who asks for it.
REFUSALS: dict[str, tuple[str, Callable[[Bench], Any]]] = {
    "hooks of its own": ("SD3.5", _apply_with_hooks),
    "no VAE": ("SD3.5", lambda bench: bench.ours(vae=None)),
    "no inpaint mask": ("SD3 inpaint", lambda bench: bench.ours(inpaint_mask=None)),
    "a forward of its own": ("SD3.5", _answer_without_the_model),
    "a mask on a routed adapter": ("T2I SD1.5 full", _mask_as_advanced_controlnet),
}


def mismatch(name: str) -> str:
    """Returns the error of a pair that does not fit, "" if there is none."""
    model, family = MISMATCHES[name]
    bench = Bench(replace(FAMILIES[family], pooled=8 if model is sdxl else FAMILIES[family].pooled))
    try:
        bench.sample(bench.ours(model=model()))
    except (ValueError, RuntimeError) as error:
        return str(error)
    return ""


def batches(bench: Bench, share: Any) -> dict[str, Any]:
    """Two pictures with a hint each: each row is that of a run of its own."""
    pair = Bench(bench.family, batch=2, hints=2)
    control = pair.native()
    expected = pair.sample(pair.model, control)
    return {"batch": share(pair.sample(pair.ours(cnet.HintRouting.cond_only())), expected)}


def windows(bench: Bench, share: Any) -> dict[str, Any]:
    """Windows over six pictures with a hint each: the model treats them one by one, so windows change nothing."""
    many = Bench(bench.family, batch=6, hints=6)
    expected = many.sample(many.model, many.native())
    whole_calls = many.calls
    model = many.ours(cnet.HintRouting.cond_only())
    model.model_options["context_handler"] = window_handler(length=3)
    found = {"windows": share(many.sample(model), expected)}
    return {**found, "window calls": many.calls, "whole calls": whole_calls}


def window_handler(length: int) -> Any:
    """Returns what predicts some pictures of a batch at a time: that of ComfyUI 0.3.75 fails with torch of today."""

    def predict(
        calc: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any
    ) -> list[Tensor]:
        totals = [torch.zeros_like(x) for _ in conds]
        for start in range(0, len(x), length):
            indices = list(range(start, min(start + length, len(x))))
            window = types.SimpleNamespace(index_list=indices, dim=0)
            inner = {**options["transformer_options"], "context_window": window}
            part = {**options, "transformer_options": inner}
            found = calc(model, conds, x[indices], timestep[indices], part)
            for total, prediction in zip(totals, found, strict=True):
                total[indices] = prediction
        return totals

    return types.SimpleNamespace(should_use_context=lambda *given: True, execute=predict)


def reuse(bench: Bench) -> dict[str, Any]:
    """Rows that the net computes in 20 steps when residuals are kept while the latents hardly move."""
    model = bench.ours(cnet.HintRouting.cond_only(), reuse_tolerance=0.2)
    bench.sample(model, steps=20)
    return {"reuse calls": bench.calls, "reuse rows": bench.rows}


def lengths(bench: Bench) -> dict[str, Any]:
    """Prompts of two lengths, which some models run in calls of their own."""
    bench.longer = 2
    bench.sample(bench.ours(cnet.HintRouting.cond_only()))
    bench.longer = 0
    return {"longer calls": bench.calls, "longer rows": bench.rows}


def xray(bench: Bench) -> dict[str, Any]:
    """What the X-ray says of the first call, against the norms of native control's entries."""
    seen: list[float] = []
    control = bench.native()
    compute = control.get_control

    def watched(*args: Any) -> Any:
        found = compute(*args)
        if not seen:
            entries = [e for key in found for e in found[key] if e is not None]
            seen.extend(float(entry[:1].norm()) for entry in entries)
        return found

    control.get_control = watched
    bench.sample(bench.model, control)
    model = bench.ours(cnet.HintRouting.cond_only())
    latents = bench.sample(model)
    past = model.get_attachment(KEY).history.of(latents)
    record = past.record
    added = record.calls[0].residuals.max(1)
    blocks = [block for block, norm in enumerate(added) if norm]
    apart = max(abs(a - b) / b for a, b in zip(sorted(added[blocks]), sorted(seen), strict=True))
    found = {"xray": float(apart), "names": [record.names[block] for block in blocks]}
    if len(record.names) <= 13:
        influence = past.replay.influence(record.blocks).blocks
        found["influence"] = [record.names[k] for k, share in enumerate(influence) if share]
    return found


def blocks(bench: Bench, share: Any) -> dict[str, Any]:
    """Scales of single blocks against native control without them, and points against numbers."""
    count, scales = len(bench.family.entries), cnet.BlockScales
    differences = []
    for block in {0, count - 1}:
        numbers = [0.0 if k == block else 1.0 for k in range(count)]
        control = without(bench, block)
        expected = bench.sample(bench.model, control, control)
        differences.append(share(bench.sample(bench.ours(None, scales.custom(numbers))), expected))
    return {"blocks": max(differences), "block calls": bench.calls}


def chains(bench: Bench, share: Any) -> dict[str, Any]:
    """Two controls in a row, a window and a mask."""
    first, second = bench.native(0.6), bench.native(0.3)
    second.set_previous_controlnet(first)
    expected = bench.sample(bench.model, second, second)
    chained = bench.ours(strength=0.3, model=bench.ours(strength=0.6))
    window = (0.3, 1.0)
    late = bench.native(window=window)
    expected_late = bench.sample(bench.model, late, late)
    found = bench.sample(bench.ours(start_percent=0.3))
    masked = bench.sample(bench.ours(mask=torch.full((32, 32), 0.5), strength=1.0))
    by_frame = bench.sample(bench.ours(frame_strengths=cnet.FrameStrengths.parse("0:0.5")))
    halved = bench.sample(bench.ours(scales=cnet.BlockScales.uniform().over_time([(0, 0.5)])))
    return {
        "chain": share(bench.sample(chained), expected),
        "window": share(found, expected_late),
        "half a mask": share(masked, halved),
        "frame strengths": share(by_frame, halved),
    }


if __name__ == "__main__":
    cases = {
        **dict.fromkeys(FAMILIES, measure),
        **dict.fromkeys(MISMATCHES, mismatch),
        **dict.fromkeys(REFUSALS, refusal),
    }
    sys.stdout.write(json.dumps({name: cases[name](name) for name in NAMES or cases}) + "\n")
