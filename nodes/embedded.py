"""LoadTinyStableDiffusion: the model that comes with the pack."""

from comfy_api.latest import io

from . import bridge
from .newer import found_by
from .sockets import CATEGORY, ControlNetSocket


class LoadTinyStableDiffusion(io.ComfyNode):
    """The embedded tiny Stable Diffusion, so that every example runs with no download."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadTinyStableDiffusion",
            display_name="Load Tiny Stable Diffusion (embedded)",
            category=CATEGORY,
            **found_by("LoadTinyStableDiffusion"),
            description="A tiny Stable Diffusion with its ControlNet, embedded in this pack, for learning and tests: "
            "it draws coloured circles, squares and triangles of 128 x 128 pixels. Prompt it with, for "
            "example, 'a coral circle on a navy background'.",
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
                ControlNetSocket.Output(
                    display_name="control_net", tooltip="Its ControlNet, which follows outlines."
                ),
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(*bridge.load_tiny())


NODES = [LoadTinyStableDiffusion]
