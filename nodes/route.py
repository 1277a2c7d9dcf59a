"""RouteControlNet: a CONTROL_NET with our settings, for any Apply node."""

from comfy_api.latest import io

from .apply import CONTROL_TYPES
from .comfyui import route_control_net
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY, Routing, Scales


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
                    tooltip="From Load ControlNet here, or from ComfyUI's own loader.",
                ),
                *_setting_inputs(),
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
        return io.NodeOutput(route_control_net(control_net, **settings))


def _setting_inputs() -> list[io.Input]:
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
            tooltip="Where in the picture the control acts: white yes, black no. It is cropped along with the "
            "picture. One, or one for each picture.",
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
    ]


NODES = [RouteControlNet]
