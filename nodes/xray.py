"""ControlXRay: what control did in a run."""

from comfy_api.latest import io, ui

from .comfyui import draw_xray
from .newer import list_aliases
from .sockets import CATEGORY


class ControlXRay(io.ComfyNode):
    """A picture and a report of what was injected in the sampling that made `samples`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ControlXRay",
            display_name="See What ControlNet Does (Control X-Ray)",
            category=CATEGORY,
            **list_aliases("ControlXRay"),
            description="Shows what the ControlNets injected in the run just made: how strong by block and step, for "
            "cond and uncond, and which steps were skipped or reused.",
            inputs=[
                io.Model.Input("model", tooltip="The very model that goes into the sampler."),
                io.Latent.Input(
                    "samples",
                    tooltip="What comes out of the sampler; by it the run is found among the last ones.",
                ),
                io.Boolean.Input(
                    "leave_one_out",
                    default=False,
                    optional=True,
                    tooltip="Also measure each block's influence: the last prediction with control is made again "
                    "without one block after the other, which takes as long as some 15 steps.",
                ),
            ],
            is_output_node=True,
            outputs=[
                io.Image.Output(
                    display_name="image", tooltip="The picture. The node shows it too."
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="What the picture shows, in words, for Preview Any.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, samples, leave_one_out=False) -> io.NodeOutput:
        picture, report = draw_xray(model, samples, leave_one_out)
        return io.NodeOutput(picture, report, ui=ui.PreviewImage(picture, cls=cls))


NODES = [ControlXRay]
