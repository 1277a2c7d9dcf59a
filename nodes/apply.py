"""ApplyControlNet: a MODEL that follows a picture."""

from comfy_api.latest import io

from ..cnet_core.control.hints import FITS
from ..cnet_core.nets.union import TYPES
from .comfyui import apply_control_net
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY, ControlNetSocket, Routing, Scales

CONTROL_TYPES = ["auto", *("/".join(names) for names in TYPES)]


class ApplyControlNet(io.ComfyNode):
    """Patches a clone of the MODEL; chained ones add up."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ApplyControlNet",
            display_name="Apply ControlNet (to the model)",
            category=CATEGORY,
            **list_aliases("ApplyControlNet"),
            description="Makes the model follow a picture: edges, a pose, a depth map. Put several in a row to "
            "follow several pictures.",
            inputs=[*_required_inputs(), *_optional_inputs()],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with this ControlNet on it, for the sampler or another Apply ControlNet.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, control_net, **settings) -> io.NodeOutput:
        return io.NodeOutput(apply_control_net(model, control_net, **settings))


def _required_inputs() -> list[io.Input]:
    return [
        io.Model.Input(
            "model",
            tooltip="The model to control; give this node's output to the sampler in its place.",
        ),
        io.MultiType.Input(
            "control_net",
            types=[ControlNetSocket, io.ControlNet],
            tooltip="From Load ControlNet here, or from ComfyUI's own loader.",
        ),
        io.Image.Input(
            "image",
            tooltip="The picture to follow, already of the kind that this ControlNet knows (edges, pose, ...). "
            "One for all pictures, or one for each picture of the batch.",
        ),
        io.Float.Input(
            "strength",
            default=1.0,
            min=0.0,
            max=10.0,
            step=0.01,
            tooltip="How strongly to follow the picture. 0 switches it off.",
        ),
        _percent("start_percent", 0.0, "From which part of the sampling on; 0 is the beginning."),
        _percent("end_percent", 1.0, "Up to which part of the sampling; 1 is the end."),
    ]


def _optional_inputs() -> list[io.Input]:
    return [
        Routing.Input(
            "routing",
            optional=True,
            tooltip="Which prompt gets the control, from CFG Hint Routing. Nothing here: both.",
        ),
        Scales.Input(
            "scales",
            optional=True,
            tooltip="How much each block gets, from Block-Scale Schedule. Nothing here: the same for all.",
        ),
        io.Mask.Input(
            "mask",
            optional=True,
            tooltip="Where in the picture the control acts: white yes, black no. One, or one for each picture.",
        ),
        io.Combo.Input(
            "hint_fit",
            options=list(FITS),
            default="crop",
            optional=True,
            tooltip="When the picture has other proportions: crop cuts off what is too much (as ComfyUI does), "
            "stretch distorts it, pad shows all of it with black around.",
            **ADVANCED,
        ),
        io.Float.Input(
            "reuse_tolerance",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            round=0.001,
            optional=True,
            tooltip="Faster: control computed for one step is used in the next ones until the picture has changed "
            "by this share. 0.2 saves about half of 20 steps; 0 computes it at every step.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "control_type",
            options=CONTROL_TYPES,
            default=CONTROL_TYPES[0],
            optional=True,
            tooltip="What the picture shows, for Union ControlNets, which know several kinds. Otherwise: auto.",
            **ADVANCED,
        ),
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
    ]


def _percent(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.001, tooltip=tooltip)


NODES = [ApplyControlNet]
