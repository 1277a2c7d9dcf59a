"""Real packs that affect sampling, and the right result with each.

Control on the prompts has its cases in travelling_cases.py.
"""

from dataclasses import replace

from flows import COND_ONLY, RIGHT_HALF, Control, Flow
from graphs import Sampling
from hosts import node
from pack_graphs import (
    FAMILY,
    TILES,
    WINDOWS,
    beside,
    couple,
    detail_daemon,
    guider_of,
    reference,
    sampler_of,
    scheduled_guider_of,
    tiles,
    tiles_upscaled,
    windows,
)
from packs import EITHER, Case, Nodes

EVOLVED = "ComfyUI-AnimateDiff-Evolved"
TILED = "ComfyUI-TiledDiffusion"
METHODS = ("MultiDiffusion", "Mixture of Diffusers", "SpotDiffusion")
#: Control is resized there, and no two ways to resize are equal.
RESIZED = 0.05
SHRINK = {
    "commasep_block_numbers": "3",
    "downscale_factor": 2.0,
    "start_percent": 0.0,
    "start_fadeout_percent": 1.0,
    "end_percent": 0.7,
    "downscale_after_skip": True,
    "downscale_method": "bicubic",
    "upscale_method": "bicubic",
    "antialias_downscale": False,
    "antialias_upscale": False,
}
RAUNET = {
    "model_type": "auto",
    "res_mode": "high (1536-2048)",
    "upscale_mode": "default",
    "ca_upscale_mode": "default",
}
#: At CFG 1 a total gain of 2 is the cond's own weight.
DOUBLED = {
    "target gain": (
        Control(routing={"mode": "weighted", "cond_weight": 2.0, "uncond_weight": 1.0}),
        Control(routing={"mode": "target_gain", "target_gain": 2.0}),
    )
}

#: With a mask, what travels says what is right; each tile has its own part of mask and hint.
MASKED = {
    **EITHER,
    "cond only, mask": (
        Control("routed", routing=COND_ONLY, mask=RIGHT_HALF, hint_width=192, hint_cut=True),
        Control(routing=COND_ONLY, mask=RIGHT_HALF, hint_width=192),
    ),
}

#: Ways to reach the UNet that wrappers alone cannot follow.
WAYS = (
    *(
        Case(TILED, f"{method}, {batch} a call", tiles(method, batch), controls=MASKED)
        for method in METHODS
        for batch in (1, 4)
    ),
    Case(TILED, "MultiDiffusion, one tile", tiles(METHODS[0], 4, side=128)),
    Case(EVOLVED, "standard static", windows("ADE_StandardStaticContextOptions", 1)),
    Case(EVOLVED, "standard uniform", windows("ADE_StandardUniformContextOptions", 1)),
    Case(EVOLVED, "looped uniform", windows("ADE_LoopedUniformContextOptions", 1)),
    Case(EVOLVED, "batched", windows("ADE_BatchedContextOptions", 0)),
    Case(
        "ComfyUI-deepcache",
        "DeepCache",
        beside(
            node("DeepCache", cache_interval=2, cache_depth=3, start_step=0, end_step=1000),
            Sampling(steps=6),
        ),
        "refused",
        "UNet",
    ),
    Case(
        "comfyui_jankhidiffusion",
        "ApplyRAUNetSimple",
        beside(node("ApplyRAUNetSimple", **RAUNET), TILES),
        tolerance=RESIZED,
    ),
    Case(
        "ComfyUI-bleh",
        "BlehDeepShrink",
        beside(node("BlehDeepShrink", **SHRINK), TILES),
        tolerance=RESIZED,
    ),
    Case(
        "ComfyUI-Advanced-ControlNet",
        "reference-only",
        Flow(FAMILY, sampler=reference),
        controls={"both": EITHER["both"]},  # with control on one prompt the pack itself fails
    ),
    Case(
        "ComfyUI-KJNodes",
        "ScheduledCFGGuidance",
        Flow(FAMILY, sampler=guider_of("ScheduledCFGGuidance", start_percent=1.0, end_percent=1.0)),
        controls=DOUBLED,
    ),
    Case(
        "Comfy-WaveSpeed",
        "ApplyFBCacheOnModel",
        beside(
            node(
                "ApplyFBCacheOnModel",
                object_to_patch="diffusion_model",
                residual_diff_threshold=1.0,
                start=0.0,
                end=1.0,
                max_consecutive_cache_hits=1,
            ),
            Sampling(steps=6),
        ),
    ),
    Case(
        "ComfyUI_TGate",
        "TGateApplySimple",
        beside(node("TGateApplySimple", start_at=0.5)),
        # After its gate it runs the cond's row alone, which native control for both rows does not fit.
        controls={"cond only": EITHER["cond only"]},
    ),
    Case(
        "ComfyUI-BrushNet",
        "RAUNet, outside its steps",
        beside(node("RAUNet", du_start=9000, du_end=9999, xa_start=9000, xa_end=9999)),
    ),
)

#: Its tiles are samplings of their own, which nothing inside one can tell.
TILES_ONE_BY_ONE = Case(
    "ComfyUI_UltimateSDUpscale",
    "UltimateSDUpscaleNoUpscale",
    Flow(FAMILY, Sampling(steps=2, side=256), sampler=tiles_upscaled),
    "known",
)

SAMPLERS = {
    ("efficiency-nodes-comfyui", "KSampler (Efficient)"): sampler_of(
        "KSampler (Efficient)", 3, preview_method="none", vae_decode="false"
    ),
    ("RES4LYF", "ClownsharKSampler_Beta"): sampler_of(
        "ClownsharKSampler_Beta",
        eta=0.5,
        sampler_name="multistep/res_2m",
        scheduler="beta57",
        steps_to_run=-1,
        sampler_mode="standard",
        bongmath=True,
    ),
    ("ComfyUI-Detail-Daemon", "DetailDaemonSamplerNode"): detail_daemon,
    ("ComfyUI-Adaptive-Guidance", "AdaptiveGuidance"): guider_of(
        "AdaptiveGuidance", threshold=0.9, uncond_zero_scale=0.0, cfg_start_pct=0.0
    ),
    ("ComfyUI-ComfyCouple", "Comfy Couple"): couple,
    ("ComfyUI-Inspire-Pack", "ScheduledCFGGuider //Inspire"): scheduled_guider_of(
        "ScheduledCFGGuider //Inspire"
    ),
    ("ComfyUI-Inspire-Pack", "ScheduledPerpNegCFGGuider //Inspire"): scheduled_guider_of(
        "ScheduledPerpNegCFGGuider //Inspire", empty=True
    ),
}
#: Pack -> its nodes with a MODEL in, and MODEL or GUIDER out -> widget values other than the defaults.
NODES = {
    "pre_cfg_comfy_nodes_for_ComfyUI": {
        "Pre CFG PAG": {},
        "Pre CFG zero attention": {},
        "Pre CFG automatic scale": {},
    },
    "comfyui_jankhidiffusion": {"ApplyMSWMSAAttentionSimple": {}},
    "sd-perturbed-attention": {
        "PerturbedAttention": {},
        "SmoothedEnergyGuidanceAdvanced": {},
        "SlidingWindowGuidanceAdvanced": {},
        "PLADIS": {},
        "FrequencyDecoupledGuidance": {},
        "NormalizedAttentionGuidance": {},
    },
    "ComfyUI-AutomaticCFG": {
        "Automatic CFG": {},
        "Automatic CFG - Negative": {},
        "Automatic CFG - Warp Drive": {},
        "Automatic CFG - Advanced": {},
    },
    "Skimmed_CFG": {"Skimmed CFG": {}, "Skimmed CFG - replace": {}, "Skimmed CFG - Clean Skim": {}},
    "sd-dynamic-thresholding": {"DynamicThresholdingFull": {}},
    "ComfyUI-Inspire-Pack": {"RegionalCFG //Inspire": {}},
    "ComfyUI-SEGAttention": {"SEGAttention": {}},
    "ComfyUI_experiments": {
        "ModelSamplerTonemapNoiseTest": {},
        "RescaleClassifierFreeGuidanceTest": {},
    },
    "ComfyUI-Extra-Samplers": {
        "GeometricCFGGuider": {},
        "ScaledCFGGuider": {},
        "MegaCFGGuider": {},
        "WarmupDecayCFGGuider": {},
    },
}

#: In the order of the table. Windows change nothing: native control without them is what is right.
CASES: tuple[Case | Nodes, ...] = (
    *(replace(c, expected=Flow(FAMILY, WINDOWS)) if c.pack == EVOLVED else c for c in WAYS),
    TILES_ONE_BY_ONE,
    *(
        Case(pack, name, Flow(FAMILY, sampler=sampler))
        for (pack, name), sampler in SAMPLERS.items()
    ),
    *(Nodes(pack, values) for pack, values in NODES.items()),
)
