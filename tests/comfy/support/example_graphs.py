"""The example workflows, put together; `tests/comfy/make_examples.py` writes them."""

from collections.abc import Callable
from typing import Any

from flows import ROUTING, SCALES
from graphs import Link, output
from sheet import BLUE, GRAY, GREEN, ORANGE, VIOLET, Column, Sheet

from subgraphs import (
    DRAWING,
    DRAWING_64,
    DRAWING_192,
    DRAWING_512,
    DRAWING_1024,
    PAIR,
    SEED,
    Subgraph,
)

PROMPT = "a fox on a sky background"
NUMBERS = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
TRAINING = {
    "steps": 150,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "prompt_dropout": 0.5,
    "hint_init": "balanced",
    "seed": 0,
}
#: What nodes show besides their rows, in pixels.
TEXT, DRAWN, DIAGRAM, BARS, PICTURE, NOTED = 36, 256, 156, 350, 330, 120
#: Of nodes that have the room for their picture already; js/widgets.js would make them larger after the first run.
GROWN = {"cnet_grown": True}

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


class Drawing:
    """A sheet with the nodes that every example has."""

    def __init__(self, note: str, *columns: Column) -> None:
        self.sheet = Sheet(*columns)
        self.note = note
        self.model: Link = []
        self.clip: Link = []
        self.vae: Link = []
        self.net: Link = []
        self.positive: Link = []
        self.negative: Link = []

    def explain(self, place: int) -> None:
        """Adds the note."""
        self.sheet.say(place, self.note, NOTED)

    def load_tiny(self, place: int = 0) -> None:
        """Adds the embedded model."""
        self.model = self.sheet.add(place, "LoadTinyStableDiffusion", title="Tiny model")
        self.clip, self.vae, self.net = (output(self.model, index) for index in (1, 2, 3))

    def prompts(self, place: int, positive: str = PROMPT, negative: str = "") -> None:
        """Adds both prompts."""
        self.positive, self.negative = (
            self.sheet.add(
                place, "CLIPTextEncode", title=title, height=TEXT, clip=self.clip, text=text
            )
            for title, text in (("Positive", positive), ("Negative (empty)", negative))
        )

    def hint(self, place: int, title: str = "The hint", **changes: Any) -> Link:
        """Adds a drawn hint: the edges of a fox, unless something else is wanted."""
        shape = {"shape": "fox", "radius": 0.4, "x": 0.5, "y": 0.5, "angle": 0.0, "side": 128}
        return self.sheet.add(
            place, "DrawTinyHint", title=title, height=DRAWN, **{**shape, **changes}
        )

    def apply(self, place: int, hint: Link, title: str = "Apply ControlNet", **inputs: Any) -> Link:
        """Adds Apply ControlNet."""
        given = {"model": self.model, "control_net": self.net, "image": hint, **NUMBERS}
        return self.sheet.add(place, "ApplyControlNet", title=title, **{**given, **inputs})

    def cond_only(self, place: int) -> Link:
        """Adds the routing to the prompt alone."""
        return self.sheet.add(place, "CFGHintRouting", title="cond only", height=DIAGRAM, **ROUTING)

    def soft(self, place: int, base: float = SCALES["base"]) -> Link:
        """Adds the schedule with falling bars."""
        return self.sheet.add(
            place,
            "BlockScaleSchedule",
            title="Block-Scale Schedule",
            height=BARS,
            **{**SCALES, "base": base},
        )

    def draw(self, place: int, model: Link, how: Subgraph = DRAWING, title: str = "") -> Link:
        """Adds what draws pictures."""
        return self.sheet.add(
            place,
            how.id,
            title=title or how.name,
            model=model,
            positive=self.positive,
            negative=self.negative,
            vae=self.vae,
            seed=SEED,
            cfg=how.values["cfg"],
        )

    def show(self, place: int, image: Link, title: str, name: str, height: int = PICTURE) -> None:
        """Adds a large picture, which is saved too."""
        self.sheet.add(
            place,
            "SaveImage",
            title=title,
            height=height,
            images=image,
            filename_prefix=f"cnet/{name}",
        )


def first_steps() -> Sheet:
    """A fox is drawn where the hint has one."""
    drawing = Drawing(
        "The picture follows the lines of the hint. Press *Run*; nothing has to be downloaded. "
        "Then draw another thing, change the words of the prompt, or change **strength**.",
        Column("1. Model and hint", 250, GREEN),
        Column("2. Control and prompt", 280, BLUE),
        Column("3. Draw", 240, VIOLET),
        Column("4. Result", 480, GRAY),
    )
    drawing.load_tiny()
    hint = drawing.hint(0)
    model = drawing.apply(1, hint)
    drawing.prompts(1)
    drawing.show(3, drawing.draw(2, model), "Result", "first_steps", 510)
    drawing.explain(2)
    return drawing.sheet


def both_or_cond_only() -> Sheet:
    """Control in both branches, and in cond alone, with the prompt and without."""
    drawing = Drawing(
        "*both* and *cond only* differ in one node. With a prompt (left half) both follow the hint. "
        "Without one (right half) *both* stays dull, and *cond only* multiplies the control by CFG, so its colours "
        "become garish.",
        Column("1. Model and hint", 225, GREEN),
        Column("2. both, a routing", 230, ORANGE),
        Column("3. cond only, prompt", 240, BLUE),
        Column("4. Draw", 225, VIOLET),
        Column("5. Prompt | no prompt", 330, GRAY),
    )
    drawing.load_tiny()
    hint = drawing.hint(0, shape="rocket")
    both = drawing.apply(1, hint, "both")
    cond = drawing.apply(2, hint, "cond only", routing=drawing.cond_only(1))
    drawing.prompts(2, "a rocket on a navy background")
    for model, title in ((both, "both"), (cond, "cond only")):
        pair = drawing.draw(3, model, PAIR, title)
        drawing.show(4, pair, title, title.replace(" ", "_"), 250)
    drawing.explain(3)
    return drawing.sheet


def soft_weights() -> Sheet:
    """Cond only, tamed by the soft schedule, with the prompt and without."""
    drawing = Drawing(
        "The bars say how much control each block gets: soft weights tame *cond only* and keep the outline. "
        "Drag them, choose another **profile**, and run again. The left half has a prompt, the right half none.",
        Column("1. Model and hint", 225, GREEN),
        Column("2. Soft weights", 300, ORANGE),
        Column("3. Routing, prompt", 228, VIOLET),
        Column("4. Control", 228, BLUE),
        Column("5. Prompt | no prompt", 274, GRAY),
    )
    drawing.load_tiny()
    hint = drawing.hint(0, shape="cupcake")
    scales = drawing.soft(1, 0.9)
    drawing.explain(1)
    model = drawing.apply(3, hint, routing=drawing.cond_only(2), scales=scales)
    drawing.prompts(2, "a cupcake on a teal background")
    drawing.show(4, drawing.draw(4, model, PAIR), "cond only, soft weights", "soft_weights", 250)
    return drawing.sheet


def two_hints() -> Sheet:
    """Two ControlNets in a row, each where its mask is white."""
    drawing = Drawing(
        "Two Apply nodes in a row add up; each mask keeps its control near its own shape. Try it: unplug both masks. "
        "This model draws one thing at 128 pixels, so two need 192, and strength 2.5.",
        Column("1. First hint", 225, GREEN),
        Column("2. Second hint", 225, ORANGE),
        Column("3. Control, prompt", 232, BLUE),
        Column("4. Second control", 225, VIOLET),
        Column("5. Draw and result", 348, GRAY),
    )
    drawing.load_tiny()
    size, strong = {"side": 192}, {"strength": 2.5}
    hint = drawing.hint(0, "First hint", shape="circle", radius=0.22, x=0.27, y=0.27, **size)
    drawing.explain(1)
    other = drawing.hint(1, "Second hint", shape="star", radius=0.26, x=0.7, y=0.7, **size)
    first = drawing.apply(2, hint, "First control", mask=output(hint, 1), **strong)
    drawing.prompts(2, "a coral shape on a navy background")
    given = {"model": first, "mask": output(other, 1), **strong}
    second = drawing.apply(3, other, "Second control", **given)
    drawing.show(4, drawing.draw(4, second, DRAWING_192), "Result", "two_hints", 330)
    return drawing.sheet


def control_xray() -> Sheet:
    """What one ControlNet injected in the first six tenths of a run."""
    drawing = Drawing(
        "The X-ray shows what the ControlNet put into each block at each step. "
        "Here it stops at 60 % of the run. Change **strength**, **start_percent** or **end_percent**, and look again.",
        Column("1. Model and hint", 225, GREEN),
        Column("2. Control, prompt", 230, BLUE),
        Column("3. Draw and result", 333, VIOLET),
        Column("4. What it did", 510, ORANGE),
    )
    drawing.load_tiny()
    hint = drawing.hint(0, shape="heart")
    model = drawing.apply(1, hint, end_percent=0.6)
    drawing.prompts(1, "a strawberry on a white background")
    image = drawing.draw(2, model)
    drawing.show(2, image, "Result", "control_xray", 250)
    drawing.explain(2)
    xray = {"model": model, "samples": output(image, 1), "leave_one_out": True}
    shown = drawing.sheet.add(3, "ControlXRay", height=560, **xray)
    drawing.sheet.properties[shown[0]] = GROWN
    return drawing.sheet


def train_and_use() -> Sheet:
    """A ControlNet is trained, then draws in the same graph."""
    drawing = Drawing(
        "*Train ControlNet* learns from 256 drawn pictures, in a minute or two, and draws the result. "
        "Stop it at any time: what it has learned so far goes on. Then try pictures, hints and captions of your own.",
        Column("1. Model and data", 218, GREEN),
        Column("2. Train", 357, ORANGE),
        Column("3. Hint; keep it", 225, GRAY),
        Column("4. Use it", 225, BLUE),
        Column("5. Draw and result", 230, VIOLET),
    )
    drawing.explain(0)
    samples = drawing.sheet.add(
        0, "TinyTrainingSamples", title="Training pictures", count=256, side=64, seed=0
    )
    drawing.load_tiny()
    drawing.net = drawing.sheet.add(
        1,
        "TrainControlNet",
        height=380,
        model=drawing.model,
        vae=drawing.vae,
        clip=drawing.clip,
        images=samples,
        hints=output(samples, 1),
        captions=output(samples, 2),
        **TRAINING,
    )
    drawing.sheet.properties[drawing.net[0]] = GROWN
    hint = drawing.hint(2, shape="circle", side=64)
    saved = {"filename_prefix": "controlnet/trained", "layout": "ldm"}
    drawing.sheet.add(2, "SaveControlNet", control_net=drawing.net, **saved)
    drawing.prompts(3, "a coral circle on a navy background")
    model = drawing.apply(3, hint)
    drawing.show(4, drawing.draw(4, model, DRAWING_64), "Result", "trained", 280)
    return drawing.sheet


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


#: File name -> what is on it. ComfyUI shows the names as titles. The last two need files of one's own.
EXAMPLES: dict[str, Callable[[], Sheet]] = {
    "1 First steps": first_steps,
    "2 Both or cond only": both_or_cond_only,
    "3 Soft weights": soft_weights,
    "4 Two hints and masks": two_hints,
    "5 Control X-ray": control_xray,
    "6 Train and use": train_and_use,
    "7 Stable Diffusion 1.5": stable_diffusion_15,
    "8 SDXL": sdxl,
}
