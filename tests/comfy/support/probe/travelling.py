"""What other packs do to a control on conditioning, one node each: the pack named in a docstring does so."""

import comfy.samplers
import torch
from comfy.hooks import (
    EnumHookScope,
    HookGroup,
    TransformerOptionsHook,
    set_hooks_for_conditioning,
)
from comfy.patcher_extension import WrappersMP

from .common import COUNTS, node, wrapped


def chain_of(control):
    """Gives a control and those before it."""
    while control is not None:
        yield control
        control = control.previous_controlnet


@node(("CONDITIONING",), conditioning="CONDITIONING", half="BOOLEAN")
class ProbeCopyControls:
    """Gives each cond a copy of its chain, with the whole picture or its left half (UltimateSDUpscale)."""

    def run(self, conditioning, half):
        return ([[text, self._copied(options, half)] for text, options in conditioning],)

    def _copied(self, options, half):
        if "control" not in options:
            return options
        controls = [control.copy() for control in chain_of(options["control"])]
        for control, previous in zip(controls, [*controls[1:], None], strict=True):
            control.set_previous_controlnet(previous)
            picture = control.cond_hint_original.clone()
            width = picture.shape[-1] // 2 if half else picture.shape[-1]
            control.cond_hint_original = picture[..., :width]
        return {**options, "control": controls[0]}


@node(("MODEL",), model="MODEL", side="INT", batch="INT")
class ProbeControlTiles:
    """Cuts calls into tiles and the hints with them (TiledDiffusion).

    It puts another `get_control` on the control, cleans it up before the run prepares it, and gives it hints by row.
    The model options say that it is there.
    """

    def run(self, model, side, batch):
        def keep(executor, net, conds, *args, **kwargs):
            for side in conds:
                for cond in side or ():
                    _replace_get_control(cond.get("control"))
            return executor(net, conds, *args, **kwargs)

        def tiled(apply_model, given):
            x, out, c = given["input"], torch.zeros_like(given["input"]), dict(given["c"])
            control = c.pop("control", None)
            places = [
                (y, z) for y in range(0, x.shape[-2], side) for z in range(0, x.shape[-1], side)
            ]
            for start in range(0, len(places), batch):
                part = places[start : start + batch]
                tiles = torch.cat([x[..., y : y + side, z : z + side] for y, z in part])
                inner = {name: _repeat(value, len(part)) for name, value in c.items()}
                times = given["timestep"].repeat(len(part))
                if control is not None:
                    for one in chain_of(control):
                        one.cond_hint = _cut(one, part, 8 * side, x)
                    chunks, options = len(given["cond_or_uncond"]), c["transformer_options"]
                    inner["control"] = control.original(tiles, times, inner, chunks, options)
                found = apply_model(tiles, times, **inner).chunk(len(part))
                for (y, z), tile in zip(part, found, strict=True):
                    out[..., y : y + side, z : z + side] = tile
            return out

        model = wrapped(model, WrappersMP.OUTER_SAMPLE, _clean_up_first)
        model = wrapped(model, WrappersMP.CALC_COND_BATCH, keep)
        model.set_model_unet_function_wrapper(tiled)
        model.model_options["tiled_diffusion"] = True
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeCleanUpFirst:
    """Cleans controls up before the run prepares them (TiledDiffusion)."""

    def run(self, model):
        return (wrapped(model, WrappersMP.OUTER_SAMPLE, _clean_up_first),)


@node(("MODEL",), always=True, model="MODEL", name="STRING")
class ProbeOtherGetControl:
    """Puts another `get_control` on the first control of each chain, which counts and asks the first one (packs)."""

    def run(self, model, name):
        COUNTS[name] = []

        def replace(executor, net, conds, *args, **kwargs):
            for control in (c["control"] for side in conds for c in side or () if "control" in c):
                if not hasattr(control, "original"):
                    control.original = control.get_control
                    control.get_control = counted(control.original)
            return executor(net, conds, *args, **kwargs)

        def counted(original):
            def get_control(x, *args, **kwargs):
                COUNTS[name].append(len(x))
                return original(x, *args, **kwargs)

            return get_control

        return (wrapped(model, WrappersMP.CALC_COND_BATCH, replace),)


@node(("MODEL",), model="MODEL")
class ProbeSubIdxs:
    """Asks every control for `sub_idxs` and writes to it (AnimateDiff-Evolved)."""

    def run(self, model):
        def write(executor, net, conds, x, *args, **kwargs):
            for side in conds:
                for cond in side or ():
                    for control in chain_of(cond.get("control")):
                        if not hasattr(control, "sub_idxs"):
                            raise ValueError(f"{type(control).__name__} has no sub_idxs")
                        control.sub_idxs = list(range(len(x)))
                        control.full_latent_length = control.context_length = len(x)
            return executor(net, conds, x, *args, **kwargs)

        return (wrapped(model, WrappersMP.CALC_COND_BATCH, write),)


@node(("CONDITIONING",), conditioning="CONDITIONING")
class ProbeForgetfulHook:
    """Halves attention by a hook on the prompt, whose clones lose the factor (prompt-control's COUPLE)."""

    def run(self, conditioning):
        hook, group = _ForgetfulHook(), HookGroup()
        hook.factor = 0.5
        group.add(hook)
        return (set_hooks_for_conditioning(conditioning, hooks=group, append_hooks=True),)


class _ForgetfulHook(TransformerOptionsHook):
    def __init__(self):
        super().__init__({}, hook_scope=EnumHookScope.HookedOnly)

    def on_apply_hooks(self, model, transformer_options):
        factor = self.factor
        self.transformers_dict["patches"] = {
            "attn2_output_patch": [lambda out, options: factor * out]
        }
        super().on_apply_hooks(model, transformer_options)


@node(("GUIDER",), model="MODEL", positive="CONDITIONING", negative="CONDITIONING", cfg="FLOAT")
class ProbeOwnOptions:
    """Predicts with options of its own, in which no hook's wrappers are."""

    def run(self, model, positive, negative, cfg):
        guider = _OwnOptions(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        return (guider,)


class _OwnOptions(comfy.samplers.CFGGuider):
    def predict_noise(self, x, timestep, model_options, seed=None):
        sides = [self.conds["positive"], self.conds["negative"]]
        options = {"transformer_options": {}}
        found = comfy.samplers.calc_cond_batch(self.inner_model, sides, x, timestep, options)
        return found[1] + self.cfg * (found[0] - found[1])


def _clean_up_first(executor, *args, **kwargs):
    for conds in executor.class_obj.conds.values():
        for cond in conds:
            if "control" in cond:
                cond["control"].cleanup()
    return executor(*args, **kwargs)


def _replace_get_control(control):
    if control is not None and not hasattr(control, "original"):
        control.original = control.get_control
        control.get_control = lambda *args, **kwargs: control


def _cut(control, places, side, x):
    """Returns a hint for each row of some tiles: rows of the call in each tile."""
    picture = control.cond_hint_original
    picture = picture.repeat(-(-len(x) // len(picture)), 1, 1, 1)[: len(x)]
    return torch.cat([picture[..., 8 * y : 8 * y + side, 8 * z : 8 * z + side] for y, z in places])


def _repeat(value, count):
    return torch.cat([value] * count) if isinstance(value, torch.Tensor) else value
