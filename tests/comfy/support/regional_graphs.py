"""Graphs with packs that work on regions: detailers, samplers and prompts of a part of the picture."""

from flows import Flow, ModelNodes
from graphs import Graph, Link, Sampling, output
from hosts import variant
from pack_graphs import FAMILY


def half(graph: Graph, side: int, value: float = 1.0) -> Link:
    """Adds a mask (side, side): its left half is `value`, the rest 1 - value."""
    ground = graph.add("SolidMask", value=1.0 - value, width=side, height=side)
    part = graph.add("SolidMask", value=value, width=side // 2, height=side)
    given = {"destination": ground, "source": part}
    operation = "add" if value else "multiply"
    return graph.add("MaskComposite", x=0, y=0, operation=operation, **given)


def detailed(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Impact Pack's detailer on the left half; a control on the positive goes to its SEGS node, which crops it."""
    clip, vae = (output(graph.add("LoadTinyStableDiffusion"), index) for index in (1, 2))
    segs = graph.add(
        "MaskToSEGS",
        mask=half(graph, how.side),
        combined=False,
        crop_factor=1.0,
        bbox_fill=False,
        drop_size=1,
        contour_fill=False,
    )
    conds = {"positive": positive, "negative": negative}
    apply = graph.nodes[positive[0]]
    if apply["class_type"] == "ControlNetApplyAdvanced":
        given = dict(apply["inputs"])
        conds = {side: given.pop(side) for side in conds}
        given["control_image"] = given.pop("image")
        segs = graph.add("ImpactControlNetApplyAdvancedSEGS", segs=segs, **given)
    picture = {"width": how.side, "height": how.side, "count": 1, "seed": 4, "value": "0.5"}
    found = graph.add(
        "DetailerForEach",
        image=graph.add("ProbePicture", **picture),
        segs=segs,
        model=model,
        clip=clip,
        vae=vae,
        **conds,
        guide_size=128.0,
        guide_size_for=True,
        max_size=256.0,
        seed=how.seed,
        steps=how.steps,
        cfg=how.cfg,
        sampler_name=how.sampler,
        scheduler=how.scheduler,
        denoise=1.0,
        feather=0,
        noise_mask=False,
        force_inpaint=True,
        wildcard="",
        cycle=1,
    )
    return graph.add("VAEEncode", pixels=found, vae=vae)


def regional(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
    """Impact Pack's sampler with another prompt and the control on the left half."""
    clip, vae = (output(graph.add("LoadTinyStableDiffusion"), index) for index in (1, 2))

    def sampler(positive: Link, negative: Link) -> Link:
        pipe = {"model": model, "clip": clip, "vae": vae}
        pipe = graph.add("ToBasicPipe", **pipe, positive=positive, negative=negative)
        numbers = {"cfg": how.cfg, "sampler_name": how.sampler, "scheduler": how.scheduler}
        return graph.add("KSamplerAdvancedProvider", basic_pipe=pipe, sigma_factor=1.0, **numbers)

    region = graph.add(
        "RegionalPrompt", mask=half(graph, how.side), advanced_sampler=sampler(positive, negative)
    )
    return graph.add(
        "RegionalSampler",
        seed=how.seed,
        seed_2nd=0,
        seed_2nd_mode="ignore",
        steps=how.steps,
        base_only_steps=1,
        denoise=1.0,
        samples=how.latent(graph),
        base_sampler=sampler(FAMILY.cond(graph, 14), FAMILY.cond(graph, 15)),
        regional_prompts=region,
        overlap_factor=10,
        restore_latent=True,
        additional_mode="ratio between",
        additional_sampler="AUTO",
        additional_sigma_ratio=0.3,
    )


def coupled_by_ppm(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """ppm's attention couple: another prompt on the left half, inside the positive's row."""
    model = graph.add(
        "AttentionCouplePPM",
        model=model,
        base_cond=positive,
        base_mask=half(graph, how.side, 0.0),
        cond_1=FAMILY.cond(graph, 14),
        mask_1=half(graph, how.side),
    )
    return how.ksampler(graph, model, positive, negative)


def _dense(graph: Graph, model: Link) -> Link:
    """densediffusion: two prompts, each on its half, in one row."""
    for seed, value in ((1, 1.0), (14, 0.0)):
        cond = graph.add("ProbeConditioning", width=FAMILY.width, seed=seed, vector=8)
        given = {"conditioning": cond, "mask": half(graph, Sampling().side, value)}
        model = graph.add("DenseDiffusionAddCondNode", model=model, strength=1.0, **given)
    return graph.add("DenseDiffusionApplyNode", model=model)


#: Its node gives the MODEL and the positive; the control comes behind both.
DENSE = Flow(
    FAMILY,
    before=_dense,
    positive=lambda graph, cond: output(_dense(graph, FAMILY.model(graph)), 1),
)


def combined_by_kj(
    graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling
) -> Link:
    """KJNodes' regions: each half has prompts of its own, all with the control."""
    both = graph.add(
        "ConditioningSetMaskAndCombine",
        positive_1=positive,
        negative_1=negative,
        positive_2=variant(graph, positive),
        negative_2=variant(graph, negative),
        mask_1=half(graph, how.side),
        mask_2=half(graph, how.side, 0.0),
        mask_1_strength=1.0,
        mask_2_strength=0.7,
        set_cond_area="default",
    )
    return how.ksampler(graph, model, both, output(both, 1))


def _region_by_inspire(graph: Graph, cond: Link) -> Link:
    """Inspire Pack's regional prompt on the left half, with the whole picture's."""
    region = graph.add(
        "RegionalConditioningSimple //Inspire",
        clip=_clip(graph),
        mask=half(graph, Sampling().side),
        strength=1.0,
        set_cond_area="default",
        prompt="a star",
    )
    return graph.add("ConditioningCombine", conditioning_1=region, conditioning_2=cond)


#: Inspire Pack's region; the control comes behind it.
INSPIRE = Flow(FAMILY, positive=_region_by_inspire)


def prompted(positive: str, negative: str = "", batched: bool = False) -> Flow:
    """prompt-control's prompts, with schedules and regions in their text; the control comes behind them.

    `batched` has its node put the positive's attention couple on the negative too.
    """

    def text(words: str) -> ModelNodes:
        return lambda graph, cond: graph.add("PCLazyTextEncode", clip=_clip(graph), text=words)

    def sampled(graph: Graph, model: Link, positive: Link, negative: Link, how: Sampling) -> Link:
        if batched:
            conds = {"positive": positive, "negative": negative}
            positive = graph.add("PCAttentionCoupleBatchNegative", **conds)
            negative = output(positive, 1)
        return how.ksampler(graph, model, positive, negative)

    return Flow(FAMILY, sampler=sampled, positive=text(positive), negative=text(negative))


def _clip(graph: Graph) -> Link:
    return graph.add("ProbeClip", seed=16)
