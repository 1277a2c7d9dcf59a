"""Example graphs with the embedded model, which run without a download."""

from drawing import GROWN, Drawing
from graphs import output
from sheet import BLUE, GRAY, GREEN, ORANGE, VIOLET, Column, Sheet

from subgraphs import DRAWING_64, DRAWING_192, PAIR

TRAINING = {
    "steps": 150,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "prompt_dropout": 0.5,
    "hint_init": "balanced",
    "seed": 0,
}


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
