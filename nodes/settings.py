"""Nodes for settings: where the hint goes, and how much of it each block gets."""

from collections.abc import Callable

from comfy_api.latest import io

from ..cnet_core import BlockScales, HintRouting
from ..cnet_core.control.routing import parse_stages
from ..cnet_core.control.scales import SOFT_BASE, custom_scales, parse_curve
from .newer import list_aliases
from .sockets import CATEGORY, Routing, Scales

#: Mode -> routing, from (cond_weight, uncond_weight, target_gain).
MODES: dict[str, Callable[[float, float, float], HintRouting]] = {
    "both": lambda cond, uncond, target: HintRouting.both(),
    "cond_only": lambda cond, uncond, target: HintRouting.cond_only(),
    "uncond_only": lambda cond, uncond, target: HintRouting.uncond_only(),
    "weighted": lambda cond, uncond, target: HintRouting.weighted(cond, uncond),
    "target_gain": lambda cond, uncond, target: HintRouting.target_gain(target),
}

#: Profile -> scales, from (base, custom_scales).
PROFILES: dict[str, Callable[[float, str], BlockScales]] = {
    "uniform": lambda base, custom: BlockScales.uniform(),
    "soft": lambda base, custom: BlockScales.soft(base),
    "logspace": lambda base, custom: BlockScales.logspace(),
    "resolution": lambda base, custom: BlockScales.resolution(),
    "resolution_raw": lambda base, custom: BlockScales.resolution(normalised=False),
    "webui": lambda base, custom: BlockScales.webui(),
    "custom": lambda base, custom: custom_scales(custom),
}


class CFGHintRouting(io.ComfyNode):
    """Chooses which branch of classifier-free guidance gets the hint."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="CFGHintRouting",
            display_name="Guess / Control Mode (CFG Hint Routing)",
            category=CATEGORY,
            **list_aliases("CFGHintRouting"),
            description="Where the control picture goes: to your prompt, to the negative prompt, or to both.",
            inputs=[
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="cond_only",
                    tooltip="both: as ComfyUI's own nodes do. cond_only: only with your prompt, so the CFG scale "
                    "strengthens the control. uncond_only: pushes away from the picture. weighted: your own "
                    "two numbers. target_gain: a strength that you choose; the CFG scale changes it far less.",
                ),
                _number(
                    "cond_weight", 1.0, "weighted: how much control your (positive) prompt gets."
                ),
                _number(
                    "uncond_weight", 0.5, "weighted: how much control the negative prompt gets."
                ),
                _number(
                    "target_gain",
                    2.0,
                    "target_gain: the final strength of control. 1 is as strong as both, and the CFG scale is as "
                    "strong as cond_only. In between, the CFG scale changes the strength far less than in cond_only.",
                ),
                io.String.Input(
                    "time_curve",
                    default="",
                    optional=True,
                    tooltip="Changes the mode over the run: percent:mode pairs such as 0:both, 0.4:cond_only, "
                    "0.8:none. Each mode holds until the next one; before the first pair the mode above holds. "
                    "none: no control. Empty: no change.",
                ),
            ],
            outputs=[
                Routing.Output(
                    display_name="routing",
                    tooltip="For the routing input of Apply ControlNet (to the model).",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        mode: str,
        cond_weight: float,
        uncond_weight: float,
        target_gain: float,
        time_curve: str = "",
    ) -> io.NodeOutput:
        numbers = (cond_weight, uncond_weight, target_gain)
        modes = {name: make(*numbers) for name, make in MODES.items()}
        stages = parse_stages(time_curve, {**modes, "none": HintRouting.none()})
        if not stages:
            return io.NodeOutput(modes[mode])
        earlier = () if stages[0][0] == 0 else ((0.0, modes[mode]),)
        return io.NodeOutput(HintRouting.over_time((*earlier, *stages)))


class BlockScaleSchedule(io.ComfyNode):
    """Sets how much control each block of the UNet gets."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BlockScaleSchedule",
            display_name="Block-Scale Schedule (Soft Weights)",
            category=CATEGORY,
            **list_aliases("BlockScaleSchedule"),
            description="How much control each block of the UNet gets, from fine detail to overall layout.",
            inputs=[
                io.Combo.Input(
                    "profile",
                    options=list(PROFILES),
                    default="soft",
                    tooltip="uniform: the same everywhere. soft: less for fine detail, all for the layout (guess "
                    "mode of the released ControlNet). logspace: the same idea as in diffusers. resolution: by "
                    "the blocks' resolution, as in the paper. resolution_raw: the paper's numbers as printed, up "
                    "to 8 times as strong. webui: exactly as in sd-webui-controlnet. custom: your own numbers.",
                ),
                io.Float.Input(
                    "base",
                    default=SOFT_BASE,
                    min=0.01,
                    max=2.0,
                    step=0.001,
                    round=0.001,
                    tooltip="soft: the ratio of each block to the next deeper one. Values closer to 1 are more even.",
                ),
                io.String.Input(
                    "custom_scales",
                    default="",
                    multiline=True,
                    tooltip="custom: one number per block, separated by commas or spaces, from detail to layout, with "
                    "the middle last. SD1.x and SD2.x need 13 numbers, SDXL 10, T2I-Adapters 4. Or points that fit any "
                    "ControlNet, position:factor, such as 0:0.2, 1:1.",
                ),
                io.String.Input(
                    "time_curve",
                    default="",
                    optional=True,
                    tooltip="Changes the scales over the run: percent:factor pairs such as 0:1, 0.5:0.4, linear in "
                    "between. Empty: no change.",
                ),
            ],
            outputs=[
                Scales.Output(
                    display_name="scales",
                    tooltip="For the scales input of Apply ControlNet (to the model).",
                )
            ],
        )

    @classmethod
    def execute(
        cls, profile: str, base: float, custom_scales: str, time_curve: str = ""
    ) -> io.NodeOutput:
        scales = PROFILES[profile](base, custom_scales)
        return io.NodeOutput(scales.over_time(parse_curve(time_curve)))


def _number(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(
        name, default=default, min=-10.0, max=30.0, step=0.01, round=0.001, tooltip=tooltip
    )


NODES = [CFGHintRouting, BlockScaleSchedule]
