"""ApplyControlNet: a MODEL that follows a picture."""

from comfy_api.latest import io

from ..cnet_core.control.hints import FITS
from ..cnet_core.nets.union import TYPES
from .comfyui import apply_control_net
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY, ControlNetSocket, Routing, Scales

CONTROL_TYPES = ["auto", *("/".join(names) for names in TYPES)]


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
            inputs=[*_required_inputs(), *_optional_inputs()],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The model with this ControlNet applied, for the sampler or another Apply ControlNet.",
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
            tooltip="The model to control. Connect this node's output to the sampler in its place.",
        ),
        io.MultiType.Input(
            "control_net",
            types=[ControlNetSocket, io.ControlNet],
            tooltip="A ControlNet from Load ControlNet in this pack, or from ComfyUI's own loader.",
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
        _percent(
            "start_percent", 0.0, "When control starts, as a fraction of sampling (0 = start)."
        ),
        _percent("end_percent", 1.0, "When control ends, as a fraction of sampling (1 = end)."),
    ]


def _optional_inputs() -> list[io.Input]:
    return [
        Routing.Input(
            "routing",
            optional=True,
            tooltip="Which prompt gets control, from CFG Hint Routing. Not connected: both.",
        ),
        Scales.Input(
            "scales",
            optional=True,
            tooltip="How much control each block gets, from Block-Scale Schedule. Not connected: the same for all.",
        ),
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
        io.Float.Input(
            "reuse_tolerance",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            round=0.001,
            optional=True,
            tooltip="Faster: reuses the control of one step in the next ones until the picture has changed by this "
            "fraction. 0.2 saves about half of 20 steps; 0 computes control at every step.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "control_type",
            options=CONTROL_TYPES,
            default=CONTROL_TYPES[0],
            optional=True,
            tooltip="What the picture shows, for Union ControlNets, which know several types. Leave auto for all "
            "others.",
            **ADVANCED,
        ),
    ]


def _percent(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=1.0, step=0.001, tooltip=tooltip)


NODES = [ApplyControlNet]
