"""Nodes that train and save ControlNets."""

from typing import get_args

from comfy_api.latest import io, ui

from ..cnet_core.checkpoints.formats import LAYOUTS
from ..cnet_core.nets.controlnet import HintInit
from .comfyui import draw_tiny_samples, save_control_net, train_control_net
from .newer import ADVANCED, list_aliases
from .sockets import CATEGORY


class TrainControlNet(io.ComfyNode):
    """Trains a new or an existing ControlNet for the MODEL on a few pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TrainControlNet",
            display_name="Train ControlNet",
            category=CATEGORY,
            **list_aliases("TrainControlNet"),
            description="Trains a ControlNet for the model from pictures, one hint per picture, and captions. You can "
            "interrupt it at any time: the graph continues with what it has learned so far.",
            inputs=[*_materials(), *_numbers(), _start()],
            outputs=[
                io.ControlNet.Output(
                    display_name="control_net",
                    tooltip="The trained ControlNet, for Apply ControlNet (to the model) or Save ControlNet.",
                ),
                io.Image.Output(
                    display_name="plot",
                    tooltip="Curves of the loss and of how well the net follows the hint. The node also shows them at "
                    "the end.",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="The result of the training as text. The node also shows it.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, model, vae, clip, images, hints, captions, steps, control_net=None, **numbers
    ) -> io.NodeOutput:
        made = train_control_net(
            model, vae, clip, images, hints, captions, steps, numbers, control_net
        )
        return io.NodeOutput(*made, ui=ui.PreviewText(made[-1]))


class SaveControlNet(io.ComfyNode):
    """Writes a ControlNet to the output folder."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SaveControlNet",
            display_name="Save ControlNet",
            category=CATEGORY,
            **list_aliases("SaveControlNet"),
            description="Saves a ControlNet in ComfyUI's output folder. After a refresh, Load ControlNet lists what "
            "is in output/controlnet.",
            inputs=[
                io.ControlNet.Input(
                    "control_net", tooltip="A ControlNet from Train ControlNet or Load ControlNet."
                ),
                io.String.Input(
                    "filename_prefix",
                    default="controlnet/trained",
                    tooltip="Folder and start of the file name, inside ComfyUI's output folder.",
                ),
                io.Combo.Input(
                    "layout",
                    options=list(LAYOUTS),
                    default=LAYOUTS[0],
                    tooltip="ldm loads everywhere. diffusers is a folder for that library's from_pretrained. "
                    "difference stores only what differs from the base model.",
                ),
                io.Model.Input(
                    "base_model",
                    optional=True,
                    tooltip="The model that the ControlNet was trained on. Needed only for the layout difference.",
                ),
            ],
            outputs=[],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, control_net, filename_prefix, layout, base_model=None) -> io.NodeOutput:
        path = save_control_net(control_net, filename_prefix, layout, base_model)
        return io.NodeOutput(ui=ui.PreviewText(str(path)))


class TinyTrainingSamples(io.ComfyNode):
    """The embedded model's own training data, so that users can try training without a download."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="TinyTrainingSamples",
            display_name="Tiny Training Samples (embedded)",
            category=CATEGORY,
            **list_aliases("TinyTrainingSamples"),
            description="Draws glossy things on coloured backgrounds, their edges and captions, to train a ControlNet "
            "for the embedded tiny model.",
            inputs=[
                _integer("count", 64, 2, 4096, "How many pictures."),
                _integer("side", 64, 32, 512, "Width and height in pixels.", step=8),
                _seed("A different number gives different pictures."),
            ],
            outputs=[
                io.Image.Output(
                    display_name="images",
                    tooltip="The pictures, for the images input of Train ControlNet.",
                ),
                io.Image.Output(
                    display_name="hints",
                    tooltip="Their edges, for the hints input of Train ControlNet.",
                ),
                io.String.Output(
                    display_name="captions",
                    tooltip="One line per picture, for the captions input of Train ControlNet.",
                ),
            ],
        )

    @classmethod
    def execute(cls, count, side, seed) -> io.NodeOutput:
        return io.NodeOutput(*draw_tiny_samples(count, side, seed))


def _materials() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="The model to train for. It is not changed."),
        io.Vae.Input("vae", tooltip="The model's VAE, which turns the pictures into latents."),
        io.Clip.Input("clip", tooltip="The model's text encoder, for the captions."),
        io.Image.Input("images", tooltip="The pictures to learn from, all of the same size."),
        io.Image.Input("hints", tooltip="The hints that lead to the pictures, one per picture."),
        io.String.Input(
            "captions",
            default="",
            multiline=True,
            tooltip="One line per picture, in the same order, or one line for all of them.",
        ),
    ]


def _numbers() -> list[io.Input]:
    return [
        _integer("steps", 500, 1, 1_000_000, "How many times the weights are updated."),
        _integer("batch_size", 4, 1, 1024, "Pictures per step. Use as many as fit in memory."),
        io.Float.Input(
            "learning_rate",
            default=1e-4,
            min=1e-7,
            max=0.1,
            step=1e-7,
            round=1e-7,
            tooltip="How far the weights move per step: 1e-5 for Stable Diffusion, 1e-3 for the embedded model.",
        ),
        io.Float.Input(
            "prompt_dropout",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="The fraction of captions to leave out, so that the net learns to rely on its hint.",
            **ADVANCED,
        ),
        io.Combo.Input(
            "hint_init",
            options=list(get_args(HintInit)),
            default="balanced",
            tooltip="How the hint encoder starts: balanced sees the hint from the first step on; released is as in "
            "the original code.",
            **ADVANCED,
        ),
        _seed("The seed of the initial weights, the noise and the order of the pictures."),
    ]


def _start() -> io.Input:
    return io.ControlNet.Input(
        "control_net",
        optional=True,
        tooltip="Train this ControlNet further. With nothing here, training starts from a copy of the model's encoder.",
    )


def _integer(
    name: str, default: int, low: int, high: int, tooltip: str, *, step: int = 1
) -> io.Int.Input:
    return io.Int.Input(name, default=default, min=low, max=high, step=step, tooltip=tooltip)


def _seed(tooltip: str) -> io.Int.Input:
    """A seed that stays fixed: front ends would draw another after each run, and the training would start again."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**31 - 1, tooltip=tooltip, control_after_generate=False
    )


NODES = [TrainControlNet, SaveControlNet, TinyTrainingSamples]
