"""ApplyControlNet: a MODEL that follows a picture."""

from comfy_api.latest import io

from ..cnet_core.control.hints import FITS
from .comfyui import apply_control_net
from .control_inputs import (
    list_choices,
    list_connections,
    list_percents,
    make_frame_strengths,
    read_settings,
)
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY


class ApplyControlNet(io.ComfyNode):
    """Patches a clone of the MODEL; chained nodes add up."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ApplyControlNet",
            display_name="Apply ControlNet (to the model)",
            category=CATEGORY,
            **list_aliases("ApplyControlNet"),
            description="Makes the model follow a picture, such as edges, a pose or a depth map. Chain several nodes "
            "to follow several pictures.",
            inputs=[*_list_required(), *_list_optional()],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with this ControlNet applied, for the sampler or another Apply ControlNet.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, control_net, **settings) -> io.NodeOutput:
        return io.NodeOutput(apply_control_net(model, control_net, **read_settings(settings)))


def _list_required() -> list[io.Input]:
    return [
        io.Model.Input(
            "model",
            tooltip="The model to control. Connect this node's output to the sampler in its place.",
        ),
        io.ControlNet.Input(
            "control_net",
            tooltip="From Load ControlNet in this pack, or from any of ComfyUI's own loaders: also a T2I-Adapter, or "
            "a ControlNet of another model (SD3.5, Flux, Qwen-Image, ...).",
        ),
        io.Image.Input(
            "image",
            tooltip="The picture to follow, already in the form that this ControlNet expects (edges, pose, ...). Give "
            "one for the whole batch, or one per picture.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.01,
            tooltip="How strongly to follow the picture. 0 switches it off.",
        ),
        *list_percents(),
    ]


def _list_optional() -> list[io.Input]:
    return [
        *list_connections(),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where control applies: white = full, black = none. Give one mask, or one per picture.",
        ),
        io.Combo.Input(
            "hint_fit",
            options=list(FITS),
            default="crop",
            optional=True,
            tooltip="What to do when the picture has other proportions: crop cuts off the excess (as ComfyUI does), "
            "stretch distorts it, pad adds black borders.",
            **ADVANCED,
        ),
        *list_choices(),
        io.Vae.Input(
            "vae",
            optional=True,
            tooltip="Only for ControlNets that read the picture as latents (SD3, SD3.5, Flux, Qwen-Image, "
            "HunyuanDiT): the VAE of the model. Others ignore it.",
        ),
        io.Mask.Input(
            "inpaint_mask",
            optional=True,
            tooltip="Only for inpainting ControlNets that read a mask (SD3, Flux, Qwen-Image): white where to paint.",
        ),
        make_frame_strengths(),
    ]


NODES = [ApplyControlNet]
