"""Other packs' ways to reach the UNet, one node each: the pack named in a docstring is where the way was seen."""

from copy import deepcopy
from types import SimpleNamespace

import comfy.samplers
import torch
import torch.nn.functional as F
from comfy.ldm.modules.diffusionmodules.openaimodel import (
    apply_control,
    forward_timestep_embed,
    timestep_embedding,
)
from comfy.patcher_extension import WrappersMP

from .common import COUNTS, node, wrapped

#: The block that halves the features first, in UNets of two ResBlocks a level.
FIRST_DOWNSAMPLE = "diffusion_model.input_blocks.3.0.forward"


@node(("MODEL",), model="MODEL", side="INT", batch="INT")
class ProbeTiles:
    """Cuts a call into tiles of `side` latent pixels and stacks the rows tile by tile (TiledDiffusion).

    `batch` tiles share a call. The rows of each are those of the whole call, so conds come again and again:
    uncond, cond, uncond, cond.
    """

    def run(self, model, side, batch):
        def tiled(apply_model, given):
            x, out = given["input"], torch.zeros_like(given["input"])
            places = [
                (..., slice(y, y + side), slice(z, z + side))
                for y in range(0, x.shape[-2], side)
                for z in range(0, x.shape[-1], side)
            ]
            for start in range(0, len(places), batch):
                part = places[start : start + batch]
                tiles = torch.cat([x[place] for place in part])
                repeated = {name: _repeat(value, len(part)) for name, value in given["c"].items()}
                found = apply_model(tiles, given["timestep"].repeat(len(part)), **repeated)
                for place, tile in zip(part, found.chunk(len(part)), strict=True):
                    out[place] = tile
            return out

        model = model.clone()
        model.set_model_unet_function_wrapper(tiled)
        return (model,)


@node(("MODEL",), model="MODEL", length="INT", announced=(["context_window", "ad_params"], {}))
class ProbeWindows:
    """Predicts some pictures of a batch at a time, and announces them as ComfyUI or AnimateDiff-Evolved do.

    Windows of `length` overlap by one picture, whose predictions are averaged.
    """

    def run(self, model, length, announced):
        def windows(calc, net, conds, x, timestep, options):
            totals = [torch.zeros_like(x) for _ in conds]
            counts = torch.zeros(len(x), 1, 1, 1)
            for start in range(0, len(x) - 1, length - 1):
                indices = list(range(start, min(start + length, len(x))))
                inner = _announce(options, announced, indices, len(x))
                found = calc(net, conds, x[indices], timestep[indices], inner)
                for total, part in zip(totals, found, strict=True):
                    total[indices] += part
                counts[indices] += 1
            return [total / counts for total in totals]

        if announced == "ad_params":
            return (wrapped(model, WrappersMP.CALC_COND_BATCH, windows),)
        model = model.clone()
        handler = SimpleNamespace(should_use_context=lambda *given: True, execute=windows)
        model.model_options["context_handler"] = handler
        return (model,)


@node(("MODEL",), always=True, model="MODEL", name="STRING")
class ProbeOwnForward:
    """Calls the UNet's blocks itself, so that wrappers around the UNet never run (DeepCache); counts its calls."""

    def run(self, model, name):
        COUNTS[name] = []

        def forward(apply_model, given):
            COUNTS[name].append(given["cond_or_uncond"])
            sampling, c = model.model.model_sampling, given["c"]
            x = sampling.calculate_input(given["timestep"], given["input"])
            t = sampling.timestep(given["timestep"]).float()
            options = c["transformer_options"]
            out = _run_blocks(x, t, c["c_crossattn"], c.get("control"), model, options)
            return sampling.calculate_denoised(given["timestep"], out, given["input"])

        model = model.clone()
        model.set_model_unet_function_wrapper(forward)
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeEarlyOptions:
    """Predicts with options that were copied when the node ran, before ComfyUI merges a run's wrappers into them."""

    def run(self, model):
        options = model.model_options
        early = {**options, "transformer_options": dict(options["transformer_options"])}

        def calc(given):
            x, sigma = given["input"], given["sigma"]
            return comfy.samplers.calc_cond_batch(given["model"], given["conds"], x, sigma, early)

        model = model.clone()
        model.model_options["sampler_calc_cond_batch_function"] = calc
        return (model,)


@node(("MODEL",), model="MODEL", resize_control="BOOLEAN")
class ProbeOwnDownsample:
    """Halves the features once more in a block of the UNet (RAUNet), from the first downsampling on.

    `resize_control` fits ComfyUI's own control to them, which then says what is right.
    """

    def run(self, model, resize_control):
        down = model.get_model_object(FIRST_DOWNSAMPLE)

        def fit(executor, x, timesteps, context, y, control, *args, **kwargs):
            small = {
                name: [_halve(t) if t.shape[-1] < x.shape[-1] else t for t in control[name]]
                for name in control or {}
            }
            return executor(x, timesteps, context, y, small or None, *args, **kwargs)

        model = wrapped(model, WrappersMP.DIFFUSION_MODEL, fit) if resize_control else model.clone()
        model.add_object_patch(FIRST_DOWNSAMPLE, lambda x: _halve(down(x)))
        return (model,)


@node(("MODEL",), model="MODEL", first="BOOLEAN")
class ProbeSecondPass:
    """Runs the UNet on other latents too inside a call, before or after the call's own, without ComfyUI's control.

    Reference-only control does so (Advanced-ControlNet). A part of what it gives is added.
    """

    def run(self, model, first):
        def twice(executor, x, timesteps, context, y, control, *args, **kwargs):
            def other():
                return executor(-x.flip(-1), timesteps, context, y, None, *args, **kwargs)

            before = other() if first else None
            own = executor(x, timesteps, context, y, control, *args, **kwargs)
            return own + 0.3 * (before if first else other())

        return (wrapped(model, WrappersMP.DIFFUSION_MODEL, twice),)


@node(
    ("GUIDER",),
    model="MODEL",
    positive="CONDITIONING",
    negative="CONDITIONING",
    cfg="FLOAT",
    steps="INT",
)
class ProbeDropNegative:
    """Drops the negative in the first `steps` steps and guides the others; `cfg` stays (KJNodes)."""

    def run(self, model, positive, negative, cfg, steps):
        guider = _DropsNegative(model)
        guider.unguided_steps = steps
        guider.set_conds(positive, negative)
        guider.set_cfg(cfg)
        return (guider,)


class _DropsNegative(comfy.samplers.CFGGuider):
    unguided_steps = 0

    def predict_noise(self, x, timestep, model_options, seed=None):
        sigmas = model_options["transformer_options"]["sample_sigmas"]
        step = int((sigmas > timestep.flatten()[0]).sum())
        return comfy.samplers.sampling_function(
            self.inner_model,
            x,
            timestep,
            self.conds["negative"],
            self.conds["positive"],
            1.0 if step < self.unguided_steps else self.cfg,
            model_options=model_options,
            seed=seed,
        )


@node(("MODEL",), model="MODEL")
class ProbeDeepCopy:
    """Predicts the positive once more at each step, with a deep copy of the run's options (pre_cfg)."""

    def run(self, model):
        def mix(given):
            options = deepcopy(given["model_options"])
            x = 0.9 * given["input"]
            conds = given["conds"][:1]
            (found,) = comfy.samplers.calc_cond_batch(
                given["model"], conds, x, given["sigma"], options
            )
            positive, *others = given["conds_out"]
            return [(positive + found) / 2, *others]

        model = model.clone()
        model.set_model_sampler_pre_cfg_function(mix)
        return (model,)


@node(("MODEL",), model="MODEL")
class ProbeReplaceWrappers:
    """Puts wrappers of its own in place of all that are on the MODEL (BrushNet)."""

    def run(self, model):
        model = model.clone()
        model.wrappers = {kind: {None: [_pass_on]} for kind in model.wrappers}
        return (model,)


def _pass_on(executor, *args, **kwargs):
    return executor(*args, **kwargs)


def _repeat(value, count):
    return torch.cat([value] * count) if isinstance(value, torch.Tensor) else value


def _halve(feature):
    return F.avg_pool2d(feature, 2)


def _announce(options, name, indices, count):
    """Returns options that say which pictures a window shows."""
    announced = {
        "context_window": SimpleNamespace(index_list=indices, dim=0),
        "ad_params": {
            "full_length": count,
            "context_length": len(indices),
            "sub_idxs": indices,
        },
    }
    inner = {**options["transformer_options"], name: announced[name]}
    return {**options, "transformer_options": inner}


def _run_blocks(x, timesteps, context, control, model, options):
    """Returns the output of the UNet's blocks, with ComfyUI's own control added."""
    unet = model.model.diffusion_model
    embedding = unet.time_embed(timestep_embedding(timesteps, unet.model_channels).to(x.dtype))

    def run(block, h):
        return forward_timestep_embed(block, h, embedding, context, options)

    skips = []
    for block in unet.input_blocks:
        x = apply_control(run(block, x), control, "input")
        skips.append(x)
    x = apply_control(run(unet.middle_block, x), control, "middle")
    for block in unet.output_blocks:
        skip = apply_control(skips.pop(), control, "output")
        x = run(block, torch.cat([x, skip], 1))
    return unet.out(x)
