"""Example graphs that need a checkpoint and a ControlNet of one's own; ComfyUI offers to download them."""

from drawing import NUMBERS, Drawing
from graphs import output
from sheet import BLUE, GRAY, GREEN, ORANGE, VIOLET, Column, Sheet

from subgraphs import DRAWING_512, DRAWING_1024, Subgraph

#: The checkpoints' addresses are those of ComfyUI's own templates (comfyui-workflow-templates 0.1.31). Those of the
#: two Canny ControlNets are in public lists of downloads. No address was opened here.
SD15 = {
    "name": "v1-5-pruned-emaonly-fp16.safetensors",
    "url": "https://huggingface.co/Comfy-Org/stable-diffusion-v1-5-archive/resolve/main/"
    "v1-5-pruned-emaonly-fp16.safetensors?download=true",
    "directory": "checkpoints",
}
CANNY_15 = {
    "name": "control_v11p_sd15_canny_fp16.safetensors",
    "url": "https://huggingface.co/comfyanonymous/ControlNet-v1-1_fp16_safetensors/resolve/main/"
    "control_v11p_sd15_canny_fp16.safetensors?download=true",
    "directory": "controlnet",
}
SDXL = {
    "name": "sd_xl_base_1.0.safetensors",
    "url": "https://huggingface.co/stabilityai/stable-diffusion-xl-base-1.0/resolve/main/"
    "sd_xl_base_1.0.safetensors?download=true",
    "directory": "checkpoints",
}
CANNY_XL = {
    "name": "diffusers_xl_canny_mid.safetensors",
    "url": "https://huggingface.co/lllyasviel/sd_control_collection/resolve/main/"
    "diffusers_xl_canny_mid.safetensors",
    "directory": "controlnet",
}


def stable_diffusion_15() -> Sheet:
    """A Canny ControlNet of SD1.5."""
    drawing = Drawing(
        "Choose a picture of yours; Canny draws its lines, and the ControlNet follows them. "
        "ComfyUI offers to download both files. The bars keep the layout and leave fine detail to the prompt.",
        *_columns_of_a_checkpoint(),
    )
    return _with_a_checkpoint(drawing, SD15, CANNY_15, DRAWING_512, NUMBERS, 13)


def sdxl() -> Sheet:
    """A Canny ControlNet of SDXL."""
    drawing = Drawing(
        "Choose a picture of yours; Canny draws its lines, and the ControlNet follows them for half of the run. "
        "ComfyUI offers to download both files. The bars keep the layout and leave fine detail to the prompt.",
        *_columns_of_a_checkpoint(),
    )
    numbers = {**NUMBERS, "end_percent": 0.5}
    return _with_a_checkpoint(drawing, SDXL, CANNY_XL, DRAWING_1024, numbers, 10)


def _columns_of_a_checkpoint() -> tuple[Column, ...]:
    return (
        Column("1. Files and picture", 225, GREEN),
        Column("2. Lines and soft weights", 290, ORANGE),
        Column("3. Control, prompt", 230, BLUE),
        Column("4. Draw", 225, VIOLET),
        Column("5. Result", 285, GRAY),
    )


def _with_a_checkpoint(
    drawing: Drawing,
    checkpoint: dict[str, str],
    control: dict[str, str],
    how: Subgraph,
    numbers: dict[str, float],
    blocks: int,
) -> Sheet:
    sheet = drawing.sheet
    drawing.model = sheet.add(0, "CheckpointLoaderSimple", ckpt_name=checkpoint["name"])
    drawing.clip, drawing.vae = output(drawing.model, 1), output(drawing.model, 2)
    drawing.net = sheet.add(0, "LoadControlNet", control_net_name=control["name"])
    sheet.properties = {
        drawing.model[0]: {"models": [checkpoint]},
        drawing.net[0]: {"models": [control]},
    }
    image = sheet.add(0, "LoadImage", title="Your picture", height=220, image="example.png")
    edges = sheet.add(1, "Canny", image=image, low_threshold=0.3, high_threshold=0.7)
    scales = drawing.soft(1)
    sheet.properties[scales[0]] = {"cnet_blocks": blocks}
    model = drawing.apply(2, edges, scales=scales, **numbers)
    drawing.prompts(2, "a watercolour of a lighthouse", "blurry")
    sheet.titles[drawing.negative[0]] = "Negative"
    image = drawing.draw(3, model, how)
    sheet.add(3, "PreviewImage", title="The hint: lines", height=240, images=edges)
    drawing.explain(3)
    drawing.show(4, image, "Result", "picture", 420)
    return sheet
