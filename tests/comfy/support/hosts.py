"""Ways to sample in ComfyUI, and nodes that other people's graphs have on the model and on the conds."""

import json
from collections.abc import Mapping
from typing import Any

from graphs import Family, Graph, Link, Sampling, output


def ksampler_advanced(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """Only the middle steps, noise left in."""
    return graph.add(
        "KSamplerAdvanced",
        model=model,
        add_noise="enable",
        noise_seed=how.seed,
        steps=how.steps,
        cfg=how.cfg,
        sampler_name=how.sampler,
        scheduler=how.scheduler,
        positive=positive,
        negative=negative,
        latent_image=how.latent(graph),
        start_at_step=1,
        end_at_step=4,
        return_with_leftover_noise="enable",
    )


def cfg_guider(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """SamplerCustomAdvanced with CFGGuider."""
    guider = graph.add("CFGGuider", model=model, positive=positive, negative=negative, cfg=how.cfg)
    return sampled_with(graph, model, guider, how)


def basic_guider(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """No guidance at all: one row a picture."""
    return sampled_with(
        graph, model, graph.add("BasicGuider", model=model, conditioning=positive), how
    )


def dual_cfg(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Two prompts and a negative, which ComfyUI hands over as negative, middle, positive."""
    return _dual_cfg(graph, model, positive, negative, how, "regular")


def dual_cfg_nested(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """The other formula of the same guider."""
    return _dual_cfg(graph, model, positive, negative, how, "nested")


def perp_neg_guider(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """A third, empty prompt on the negative's side."""
    guider = graph.add(
        "PerpNegGuider",
        model=model,
        positive=positive,
        negative=negative,
        empty_conditioning=variant(graph, negative),
        cfg=how.cfg,
        neg_scale=0.7,
    )
    return sampled_with(graph, model, guider, how)


def own_options(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Samples with a guider that passes by all hooks."""
    guider = graph.add(
        "ProbeOwnOptions", model=model, positive=positive, negative=negative, cfg=4.0
    )
    return sampled_with(graph, model, guider, how)


def perp_neg_old(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """The old node, which encodes its own cond at each step."""
    empty = variant(graph, negative)
    patched = graph.add("PerpNeg", model=model, empty_conditioning=empty, neg_scale=0.7)
    return how.ksampler(graph, patched, positive, negative)


SAMPLERS = {
    "KSamplerAdvanced": ksampler_advanced,
    "CFGGuider": cfg_guider,
    "BasicGuider": basic_guider,
    "DualCFG": dual_cfg,
    "DualCFG nested": dual_cfg_nested,
    "PerpNegGuider": perp_neg_guider,
    "PerpNeg": perp_neg_old,
}


def node(kind: str, **inputs: Any) -> Any:
    """Returns a function that adds this node behind a model."""
    return lambda graph, model: graph.add(kind, model=model, **inputs)


def merge(family: Family) -> Any:
    """Returns a function that merges another model into one."""
    return lambda graph, model: graph.add(
        "ModelMergeSimple", model1=model, model2=family.model(graph, seed=9), ratio=0.6
    )


#: Nodes behind the model; random numbers of HyperTile are switched off by `swap_size`.
MODEL_NODES = {
    "SAG": node("SelfAttentionGuidance", scale=0.5, blur_sigma=2.0),
    "PAG": node("PerturbedAttentionGuidance", scale=3.0),
    "FreeU": node("FreeU", b1=1.1, b2=1.2, s1=0.9, s2=0.2),
    "FreeU_V2": node("FreeU_V2", b1=1.3, b2=1.4, s1=0.9, s2=0.2),
    "HyperTile": node("HyperTile", tile_size=32, swap_size=1, max_depth=0, scale_depth=False),
    "LoRA": node("LoraLoaderModelOnly", lora_name="random.safetensors", strength_model=0.8),
    "RescaleCFG": node("RescaleCFG", multiplier=0.7),
}


def context_windows(values: Mapping[str, Any]) -> Any:
    """Returns a function that shows the model some pictures of a batch at a time; `values` of the core node."""
    return node("ContextWindowsManual", **values)


#: Inputs of ConditioningSetAreaPercentage.
RIGHT_HALF = {"width": 0.5, "height": 1.0, "x": 0.5, "y": 0.0, "strength": 1.0}


def area(graph: Graph, cond: Link) -> Link:
    """The right half only, and the whole picture beside it."""
    half = graph.add("ConditioningSetAreaPercentage", conditioning=cond, **RIGHT_HALF)
    whole = variant(graph, cond)
    return graph.add("ConditioningCombine", conditioning_1=half, conditioning_2=whole)


def masked(graph: Graph, cond: Link) -> Link:
    """Weaker in a part of the picture."""
    mask = graph.add("SolidMask", value=0.6, width=64, height=64)
    return graph.add(
        "ConditioningSetMask",
        conditioning=cond,
        mask=mask,
        strength=1.0,
        set_cond_area="default",
    )


def two(graph: Graph, cond: Link) -> Link:
    """Two prompts on one side."""
    return graph.add(
        "ConditioningCombine", conditioning_1=cond, conditioning_2=variant(graph, cond)
    )


def lora_hook(graph: Graph, cond: Link) -> Link:
    """A LoRA for this cond alone, from the middle of the run on: both sides run in calls of their own."""
    hooks = graph.add("CreateHookLoraModelOnly", lora_name="random.safetensors", strength_model=1.0)
    first = graph.add("CreateHookKeyframe", strength_mult=0.0, start_percent=0.0)
    second = graph.add(
        "CreateHookKeyframe", strength_mult=1.0, start_percent=0.4, prev_hook_kf=first
    )
    timed = graph.add("SetHookKeyframes", hooks=hooks, hook_kf=second)
    return graph.add(
        "ConditioningSetProperties",
        cond_NEW=cond,
        strength=1.0,
        set_cond_area="default",
        hooks=timed,
    )


def without_attention(graph: Graph, shape: Family, kind: str = "ControlNet") -> Link:
    """Adds a random CONTROL_NET of ComfyUI's for this family, as small ones are; or another pack's `kind` of it."""
    arguments = json.dumps(shape.unet, sort_keys=True)
    return graph.add("ProbeWithoutAttention", kind=kind, arguments=arguments, seed=3)


COND_NODES = {"area": area, "masked": masked, "two conds": two, "LoRA hook": lora_hook}


def _dual_cfg(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling, style: str
) -> Link:
    guider = graph.add(
        "DualCFGGuider",
        model=model,
        cond1=positive,
        cond2=variant(graph, positive),
        negative=negative,
        cfg_conds=2.0,
        cfg_cond2_negative=how.cfg,
        style=style,
    )
    return sampled_with(graph, model, guider, how)


def variant(graph: Graph, cond: Link) -> Link:
    """Another text with the same control on it."""
    width = _width_of(graph, cond)
    other = graph.add("ProbeConditioning", width=width, seed=11, vector=0)
    return graph.add("ConditioningConcat", conditioning_to=cond, conditioning_from=other)


def _width_of(graph: Graph, cond: Link) -> int:
    inputs = graph.nodes[cond[0]]["inputs"]
    if "width" in inputs and graph.nodes[cond[0]]["class_type"] == "ProbeConditioning":
        return inputs["width"]
    links = (value for value in inputs.values() if isinstance(value, list))
    return _width_of(graph, next(links))


def sampled_with(graph: Graph, model: Link, guider: Link, how: Sampling) -> Link:
    sigmas = graph.add(
        "BasicScheduler", model=model, scheduler=how.scheduler, steps=how.steps, denoise=1.0
    )
    latents = graph.add(
        "SamplerCustomAdvanced",
        noise=graph.add("RandomNoise", noise_seed=how.seed),
        guider=guider,
        sampler=graph.add("KSamplerSelect", sampler_name=how.sampler),
        sigmas=sigmas,
        latent_image=how.latent(graph),
    )
    return output(latents, 0)
