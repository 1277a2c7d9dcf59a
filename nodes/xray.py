"""ControlXRay: shows what control did in a run."""

from comfy_api.latest import io, ui

from .comfyui import draw_xray
from .newer import list_aliases
from .sockets import CATEGORY

#: The key of the suggested scales, and of how many ControlNets they are for, in the node's output (js/suggested.js).
#: It is always there, since ComfyUI joins the outputs of a list by the keys of the first.
SUGGESTED = "cnet_suggested_scales"


class ControlXRay(io.ComfyNode):
    """Returns a picture and a report of what the run that produced `samples` injected."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ControlXRay",
            display_name="See What ControlNet Does (Control X-Ray)",
            category=CATEGORY,
            **list_aliases("ControlXRay"),
            description="Shows what the ControlNets injected in the run that made these latents: how strongly by "
            "block and step, for cond and uncond, and which steps were skipped or reused.",
            inputs=[
                io.Model.Input("model", tooltip="The same model that goes into the sampler."),
                io.Latent.Input(
                    "samples",
                    tooltip="The sampler's output, which identifies the run among the last ones.",
                ),
                io.Boolean.Input(
                    "leave_one_out",
                    default=False,
                    optional=True,
                    tooltip="Also measure each block's influence: repeats the last controlled prediction without each "
                    "block in turn, which takes as long as about 15 steps.",
                ),
                io.Boolean.Input(
                    "suggest_scales",
                    default=False,
                    optional=True,
                    tooltip="Also suggest scales: blocks that change the picture very little get 0. The report "
                    "has them, ready for custom_scales, and a button puts them in place. It repeats three predictions, "
                    "which takes as long as about 50 steps.",
                ),
            ],
            is_output_node=True,
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The picture. The node also shows it."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What the picture shows, as text, for Preview Any.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, samples, leave_one_out=False, suggest_scales=False) -> io.NodeOutput:
        xray = draw_xray(model, samples, leave_one_out, suggest_scales)
        shown = ui.PreviewImage(xray.picture, cls=cls).as_dict()
        shown[SUGGESTED] = [] if xray.scales is None else [xray.scales, xray.controls]
        return io.NodeOutput(xray.picture, xray.report, ui=shown)


NODES = [ControlXRay]
