"""Nodes that read ControlNet files."""

from comfy_api.latest import io, ui

from .comfyui import describe_file, file_state, list_files, load_file
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY


class LoadControlNet(io.ComfyNode):
    """Reads a ControlNet file from ComfyUI's `controlnet` folders."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadControlNet",
            display_name="Load ControlNet",
            category=CATEGORY,
            **list_aliases("LoadControlNet"),
            description="Loads a ControlNet from models/controlnet.",
            inputs=[
                _file_input(
                    "The ControlNet file. It must be made for the same family as your model."
                ),
                io.Model.Input(
                    "base_model",
                    optional=True,
                    tooltip="The model that you use. Needed only for files that store differences from a model "
                    "(difference files, Control-LoRAs).",
                ),
                io.Boolean.Input(
                    "compile",
                    default=False,
                    optional=True,
                    tooltip="Runs the ControlNet through torch.compile. It is meant for fast GPUs, and saves nothing "
                    "on a CPU. The first step of each size takes a minute or more. At most four sizes are compiled.",
                    **ADVANCED,
                ),
            ],
            outputs=[
                io.ControlNet.Output(
                    display_name="control_net",
                    tooltip="The ControlNet, for Apply ControlNet (to the model) or Save ControlNet.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str, **inputs) -> str:
        return file_state(control_net_name)

    @classmethod
    def execute(
        cls, control_net_name: str, base_model=None, compile: bool = False
    ) -> io.NodeOutput:
        return io.NodeOutput(load_file(control_net_name, base_model, compile))


class IdentifyControlNet(io.ComfyNode):
    """Shows what a file is without loading it."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="IdentifyControlNet",
            display_name="Identify ControlNet (Which Kind?)",
            category=CATEGORY,
            **list_aliases("IdentifyControlNet"),
            description="Shows what kind of ControlNet a file is and which models it fits.",
            inputs=[_file_input("The file to inspect. It is not loaded.")],
            outputs=[
                io.String.Output(
                    display_name="report", tooltip="The answer as text. The node also shows it."
                )
            ],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, control_net_name: str) -> str:
        return file_state(control_net_name)

    @classmethod
    def execute(cls, control_net_name: str) -> io.NodeOutput:
        report = describe_file(control_net_name)
        return io.NodeOutput(report, ui=ui.PreviewText(report))


def _file_input(tooltip: str) -> io.Combo.Input:
    return io.Combo.Input("control_net_name", options=list_files(), tooltip=tooltip)


NODES = [LoadControlNet, IdentifyControlNet]
