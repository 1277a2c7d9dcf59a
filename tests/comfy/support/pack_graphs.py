"""Graphs with other packs' nodes in them."""

from typing import Any

from flows import Flow, ModelNodes, Sampler
from graphs import Graph, Link, Sampling, output
from hosts import node, sampled_with, variant
from weights import SD15, family

FAMILY = family(SD15)
WINDOWS = Sampling(steps=3, batch=6)
TILES = Sampling(steps=3, side=128)


def beside(after: ModelNodes, how: Sampling | None = None) -> Flow:
    """Nodes behind the model."""
    return Flow(FAMILY, how or Sampling(), after=after)


def tiles(method: str, batch: int, side: int = 64) -> Flow:
    """TiledDiffusion with `batch` tiles a call, `side` pixels wide."""
    size = {"tile_width": side, "tile_height": side, "tile_overlap": 0}
    return beside(node("TiledDiffusion", method=method, tile_batch_size=batch, **size), TILES)


def windows(kind: str, overlap: int) -> Flow:
    """AnimateDiff-Evolved's windows of three pictures, with no motion model."""

    def nodes(graph: Graph, model: Link) -> Link:
        values = {"context_overlap": overlap, "context_stride": 1, "closed_loop": False}
        options = graph.add(kind, context_length=3, **values)
        return graph.add(
            "ADE_UseEvolvedSampling",
            model=model,
            beta_schedule="use existing",
            context_options=options,
        )

    return beside(nodes, WINDOWS)


def sampler_of(kind: str, index: int = 0, **values: Any) -> Sampler:
    """Returns a pack's sampler with the inputs of KSampler and others; `index` is the output with the latents."""

    def add(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        inputs = {
            "seed": how.seed,
            "steps": how.steps,
            "cfg": how.cfg,
            "sampler_name": how.sampler,
            "scheduler": how.scheduler,
            "denoise": 1.0,
            "latent_image": how.latent(graph),
            **values,
        }
        added = graph.add(kind, model=model, positive=positive, negative=negative, **inputs)
        return output(added, index)

    return add


def guider_of(kind: str, **values: float) -> Sampler:
    """Returns a pack's guider with the inputs of CFGGuider and others, and a core sampler."""

    def add(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        conds = {"positive": positive, "negative": negative}
        guider = graph.add(kind, model=model, cfg=how.cfg, **conds, **values)
        return sampled_with(graph, model, guider, how)

    return add


def scheduled_guider_of(kind: str, empty: bool = False) -> Sampler:
    """Returns Inspire Pack's guider `kind`, whose CFG changes from step to step, with a core sampler."""

    def add(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        numbers = {"from_cfg": how.cfg, "to_cfg": 1.5, "schedule": "linear"}
        if empty:
            numbers |= {"empty_conditioning": variant(graph, negative), "neg_scale": 0.7}
        sigmas = graph.add(
            "BasicScheduler", model=model, scheduler=how.scheduler, steps=how.steps, denoise=1.0
        )
        conds = {"positive": positive, "negative": negative}
        guider = graph.add(kind, model=model, sigmas=sigmas, **conds, **numbers)
        return sampled_with(graph, model, guider, how)

    return add


def detail_daemon(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """A sampler that is called with other noise levels than the latents have."""
    sampler = graph.add(
        "DetailDaemonSamplerNode",
        sampler=graph.add("KSamplerSelect", sampler_name=how.sampler),
        detail_amount=0.5,
        start=0.1,
        end=0.9,
        bias=0.5,
        exponent=1.0,
        start_offset=0.0,
        end_offset=0.0,
        fade=0.0,
        smooth=True,
        cfg_scale_override=0.0,
    )
    conds = {"positive": positive, "negative": negative}
    return graph.add(
        "SamplerCustom",
        model=model,
        add_noise=True,
        noise_seed=how.seed,
        cfg=how.cfg,
        sampler=sampler,
        sigmas=graph.add(
            "BasicScheduler", model=model, scheduler=how.scheduler, steps=how.steps, denoise=1.0
        ),
        latent_image=how.latent(graph),
        **conds,
    )


def reference(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Advanced-ControlNet's reference-only control on both sides, of attention and of statistics."""
    net = graph.add(
        "ACN_ReferenceControlNet",
        reference_type="reference_attn+adain",
        style_fidelity=0.5,
        ref_weight=1.0,
    )
    preprocessed = graph.add(
        "ACN_ReferencePreprocessor",
        image=graph.add("ProbePicture", width=how.side, height=how.side, count=1, seed=12),
        vae=output(graph.add("LoadTinyStableDiffusion"), 2),
        latent_size=how.latent(graph),
    )
    both = graph.add(
        "ACN_AdvancedControlNetApply_v2",
        positive=positive,
        negative=negative,
        control_net=net,
        image=preprocessed,
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )
    return how.ksampler(graph, model, both, output(both, 1))


def tiles_upscaled(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """UltimateSDUpscale at the picture's own size."""
    vae = output(graph.add("LoadTinyStableDiffusion"), 2)
    picture = graph.add(
        "ProbePicture", width=how.side, height=how.side, count=1, seed=4, value="0.5"
    )
    seams = {
        "seam_fix_mode": "None",
        "seam_fix_denoise": 1.0,
        "seam_fix_width": 64,
        "seam_fix_mask_blur": 8,
        "seam_fix_padding": 16,
    }
    upscaled = graph.add(
        "UltimateSDUpscaleNoUpscale",
        upscaled_image=picture,
        model=model,
        positive=positive,
        negative=negative,
        vae=vae,
        seed=how.seed,
        steps=how.steps,
        cfg=how.cfg,
        sampler_name=how.sampler,
        scheduler=how.scheduler,
        denoise=1.0,
        mode_type="Linear",
        tile_width=128,
        tile_height=128,
        mask_blur=0,
        tile_padding=0,
        force_uniform_tiles=True,
        tiled_decode=False,
        batch_size=1,
        **seams,
    )
    return graph.add("VAEEncode", pixels=upscaled, vae=vae)


def couple(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Two prompts side by side, in attention."""
    other = graph.add("ProbeConditioning", width=FAMILY.width, seed=14, vector=0)
    mixed = graph.add(
        "ConditioningAverage",
        conditioning_to=positive,
        conditioning_from=other,
        conditioning_to_strength=0.3,
    )
    coupled = graph.add(
        "Comfy Couple",
        model=model,
        positive_1=positive,
        positive_2=mixed,
        negative=negative,
        orientation="horizontal",
        center=0.5,
        width=how.side,
        height=how.side,
    )
    return how.ksampler(graph, coupled, output(coupled, 1), output(coupled, 2))
