"""Real packs that act on conditioning, with our ControlNets there, and the right result with each."""

from dataclasses import replace

from adapters import Adapter
from flows import COND_ONLY, Control, Flow
from graphs import Sampling
from pack_cases import EVOLVED, METHODS, SAMPLERS, TILED
from pack_graphs import FAMILY, TILES, WINDOWS, tiles, tiles_upscaled, windows
from packs import Case
from regional_graphs import (
    DENSE,
    INSPIRE,
    combined_by_kj,
    coupled_by_ppm,
    detailed,
    prompted,
    regional,
)
from weights import WIDENING, family

REGIONAL = {
    ("ComfyUI-Impact-Pack", "RegionalSampler"): regional,
    ("ComfyUI-ppm", "AttentionCouplePPM"): coupled_by_ppm,
    ("ComfyUI-KJNodes", "ConditioningSetMaskAndCombine"): combined_by_kj,
}
#: What prompt-control makes of texts: two regions in attention, in a schedule, and as masks.
COUPLED = "a star FILL() COUPLE(0.5 1) a circle"
PROMPTED = {
    "COUPLE": prompted(COUPLED),
    "COUPLE, batched negative": prompted(COUPLED, batched=True),
    "COUPLE on both": prompted(COUPLED, "a square COUPLE(0 0.5) a line"),
    "a schedule": prompted("a [star:circle:0.5] on the ground", "[:a square:0.3]"),
    "two masks": prompted("a star MASK(0 0.5) AND a circle MASK(0.5 1)"),
}

#: Control on the conditioning: native control on the same graph says what is right.
ROUTED = {
    "routed, both": (Control("native"), Control("routed")),
    "routed, cond only": (Control("native_positive"), Control("routed", routing=COND_ONLY)),
}
#: A strength for each picture, and the same as masks: equal to the last bit.
STRENGTHS = {
    f"frame strengths, {kind}": (
        Control(kind, mask=(1.0, 0.8125, 0.625, 0.4375, 0.25, 0.25)),
        Control(kind, inputs={"frame_strengths": "0:1, 4:0.25"}),
    )
    for kind in ("ours", "routed")
}
#: Advanced-ControlNet's own Apply node, with a mask; the same on the MODEL says what is right.
BY_ADVANCED = {
    "its Apply node": (Control(mask=0.4), Control("routed_by_advanced", mask=0.4)),
    "its Apply node, cond only": (
        Control(mask=0.4, routing=COND_ONLY),
        Control("routed_by_advanced", mask=0.4, routing=COND_ONLY),
    ),
}
#: A routed T2I-Adapter there, without a mask.
ADAPTED = {
    "T2I-Adapter, cond only": (
        Adapter("ours_from_native_loader", routing=COND_ONLY),
        Adapter("routed_by_advanced", routing=COND_ONLY),
    )
}
#: A routed T2I-Adapter on the conditioning.
ADAPTER = {
    "T2I-Adapter, routed, both": (Adapter("native"), Adapter("routed")),
    "T2I-Adapter, routed, cond only": (
        Adapter("native_positive"),
        Adapter("routed", routing=COND_ONLY),
    ),
}
#: Its tiles become pictures of 8 bits; a step of one of them, as a share of the mean effect.
EIGHT_BITS = 0.02

#: In the order of the table.
CASES: tuple[Case, ...] = (
    *(
        Case(TILED, f"{method}, {batch} a call", tiles(method, batch), controls=ROUTED)
        for method in METHODS
        for batch in (1, 4)
    ),
    *(
        Case(EVOLVED, kind, windows(kind, overlap), controls=STRENGTHS, tolerance=0.0)
        for kind, overlap in (
            ("ADE_StandardStaticContextOptions", 1),
            ("ADE_LoopedUniformContextOptions", 1),
        )
    ),
    *(
        Case(EVOLVED, kind, windows(kind, overlap), expected=Flow(FAMILY, WINDOWS), controls=ROUTED)
        for kind, overlap in (
            ("ADE_StandardStaticContextOptions", 1),
            ("ADE_LoopedUniformContextOptions", 1),
            ("ADE_BatchedContextOptions", 0),
        )
    ),
    Case(
        "ComfyUI_UltimateSDUpscale",
        "UltimateSDUpscaleNoUpscale",
        Flow(FAMILY, Sampling(steps=2, side=256), sampler=tiles_upscaled),
        controls=ROUTED,
        tolerance=EIGHT_BITS,
    ),
    Case(
        "ComfyUI-Advanced-ControlNet",
        "ACN_AdvancedControlNetApply_v2",
        Flow(FAMILY),
        controls=BY_ADVANCED,
    ),
    Case(
        "ComfyUI-Advanced-ControlNet",
        "ACN_AdvancedControlNetApply_v2",
        Flow(family(WIDENING)),
        controls=ADAPTED,
    ),
    Case(
        EVOLVED,
        "ADE_StandardStaticContextOptions",
        replace(windows("ADE_StandardStaticContextOptions", 1), family=family(WIDENING)),
        expected=Flow(family(WIDENING), WINDOWS),
        controls=ADAPTER,
    ),
    *(
        Case(pack, name, Flow(FAMILY, sampler=sampler), controls=ROUTED)
        for (pack, name), sampler in (SAMPLERS | REGIONAL).items()
    ),
    Case(
        "ComfyUI-Impact-Pack",
        "DetailerForEach, ControlNetApply (SEGS)",
        Flow(FAMILY, TILES, sampler=detailed),
        controls={"routed, both": ROUTED["routed, both"]},  # its node puts it on both prompts
        tolerance=EIGHT_BITS,
    ),
    Case("ComfyUI-Inspire-Pack", "RegionalConditioningSimple", INSPIRE, controls=ROUTED),
    *(
        Case("comfyui-prompt-control", name, flow, controls=ROUTED)
        for name, flow in PROMPTED.items()
    ),
    Case("ComfyUI_densediffusion", "DenseDiffusionApplyNode", DENSE, controls=ROUTED),
)
