"""The errors of inputs and pairs that do not fit."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench import Bench, comfy, route_control_net, torch  # isort: skip
import comfy.hooks
from families import FAMILIES, MISMATCHES, sdxl


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
    "a net of another model behind Route ControlNet": ("SD3.5", lambda b: route_control_net(b.net)),
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
