"""RouteControlNet and RouteModelPatch: our settings for control that other nodes apply."""

from comfy_api.latest import io

from .comfyui import route_control_net, route_model_patch
from .control_inputs import (
    list_choices,
    list_connections,
    list_percents,
    make_frame_strengths,
    read_settings,
)
from .newer import list_aliases
from .sockets import CATEGORY


class RouteControlNet(io.ComfyNode):
    """Says where a ControlNet acts, before an Apply node says what picture it follows."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RouteControlNet",
            display_name="Route ControlNet (for any Apply node)",
            category=CATEGORY,
            **list_aliases("RouteControlNet"),
            description="Gives a ControlNet a guess mode, block weights and a mask, and passes it on to any Apply "
            "ControlNet node. Use it with tiled upscalers, detailers, regional prompts and animation windows.",
            inputs=[
                io.ControlNet.Input(
                    "control_net",
                    tooltip="From Load ControlNet here, or from ComfyUI's own loader, where it may be a T2I-Adapter.",
                ),
                *list_connections(),
                _mask(),
                *list_choices(),
                make_frame_strengths(),
            ],
            outputs=[
                io.ControlNet.Output(
                    display_name="control_net",
                    tooltip="The ControlNet for an Apply ControlNet node: ComfyUI's own or another pack's.",
                )
            ],
        )

    @classmethod
    def execute(cls, control_net, **settings) -> io.NodeOutput:
        return io.NodeOutput(route_control_net(control_net, **read_settings(settings)))


class RouteModelPatch(io.ComfyNode):
    """Says where the control patches of a MODEL act."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RouteModelPatch",
            display_name="Route Model Patch (Z-Image, Qwen …)",
            category=CATEGORY,
            **list_aliases("RouteModelPatch"),
            description="Adds guess mode, block weights and a strength curve to ControlNets that come as model "
            "patches: Z-Image Fun, Qwen-Image DiffSynth, Anima LLLite and Wan Uni3C.",
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="The model from ComfyUI's node that applied the patch, which sets picture and strength.",
                ),
                *list_percents(),
                *list_connections(),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with its control patches routed, for the sampler or another patch.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, **settings) -> io.NodeOutput:
        return io.NodeOutput(route_model_patch(model, **settings))


def _mask() -> io.Input:
    return io.Mask.Input(
        "mask",
        optional=True,
        tooltip="Where control applies: white = full, black = none. It is cropped together with the picture. Give one "
        "mask, or one per picture.",
    )


NODES = [RouteControlNet, RouteModelPatch]
