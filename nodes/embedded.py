"""The model that comes with the pack, and drawn hints for it."""

from comfy_api.latest import io, ui

from ..cnet_core.tiny.shapes import SHAPES
from ..cnet_core.tiny.things import THINGS
from .comfyui import draw_tiny_hint, load_tiny
from .newer import list_aliases
from .sockets import CATEGORY


class LoadTinyStableDiffusion(io.ComfyNode):
    """The embedded tiny Stable Diffusion, so that every example runs with no download."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadTinyStableDiffusion",
            display_name="Load Tiny Stable Diffusion (embedded)",
            category=CATEGORY,
            **list_aliases("LoadTinyStableDiffusion"),
            description="A tiny Stable Diffusion with its ControlNet, embedded in this pack, for learning and tests: "
            "it draws a glossy thing on a coloured background, 128 x 128 pixels. Prompt it with, for "
            "example, 'a red fox on a sky background'.",
            inputs=[],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="The tiny model, for Apply ControlNet (to the model) and the sampler.",
                ),
                io.Clip.Output(
                    display_name="clip", tooltip="Its text encoder, for CLIP Text Encode."
                ),
                io.Vae.Output(display_name="vae", tooltip="Its VAE, for VAE Decode."),
                io.ControlNet.Output(
                    display_name="control_net", tooltip="Its ControlNet, which follows edges."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*load_tiny())


class DrawTinyHint(io.ComfyNode):
    """A hint from one node, so that users can try the embedded model without a picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DrawTinyHint",
            display_name="Draw Hint (for the tiny model)",
            category=CATEGORY,
            **list_aliases("DrawTinyHint"),
            description="Draws the outline of a shape or the edges of a thing, as a hint for the embedded tiny model. "
            "Chain several nodes to draw several of them.",
            inputs=[
                io.Combo.Input(
                    "shape",
                    options=[*SHAPES, *THINGS],
                    default="star",
                    tooltip="What to draw: a shape, such as star, or a thing, such as fox.",
                ),
                _number(
                    "radius",
                    0.37,
                    0.05,
                    0.5,
                    0.01,
                    "Half its size, as a fraction of the picture's side.",
                ),
                _number("x", 0.5, 0.0, 1.0, 0.01, "Centre: 0 = left edge, 1 = right edge."),
                _number("y", 0.53, 0.0, 1.0, 0.01, "Centre: 0 = upper edge, 1 = lower edge."),
                _number("angle", 0.0, -180.0, 180.0, 1.0, "Rotates it clockwise, in degrees."),
                io.Int.Input(
                    "side",
                    default=128,
                    min=32,
                    max=512,
                    step=8,
                    tooltip="Width and height of the hint in pixels.",
                ),
                io.Image.Input(
                    "draw_on",
                    optional=True,
                    tooltip="Another drawn hint of the same size. This one is drawn on top of it.",
                ),
            ],
            is_output_node=True,
            outputs=[
                io.Image.Output(
                    display_name="image",
                    tooltip="White lines on black, for the image input of Apply ControlNet (to the model).",
                ),
                io.Mask.Output(
                    display_name="mask",
                    tooltip="White on what is drawn here and a margin around it, for the mask input of "
                    "Apply ControlNet.",
                ),
            ],
        )

    @classmethod
    def execute(cls, shape, radius, x, y, angle, side, draw_on=None) -> io.NodeOutput:
        hint, mask = draw_tiny_hint(shape, radius, (x, y), angle, side, draw_on)
        return io.NodeOutput(hint, mask, ui=ui.PreviewImage(hint, cls=cls))


def _number(
    name: str, default: float, low: float, high: float, step: float, tooltip: str
) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip)


NODES = [LoadTinyStableDiffusion, DrawTinyHint]
