"""Example graphs with the control on prompts, where Route ControlNet takes its settings along."""

from drawing import NUMBERS, TEXT, Drawing
from graphs import Link, output
from sheet import BLUE, GRAY, GREEN, ORANGE, VIOLET, Column, Sheet

from subgraphs import DRAWING_192, REGION


def one_region() -> Sheet:
    """Two prompts, and a ControlNet that only the one for the region follows."""
    drawing = Drawing(
        "The heart has a prompt and a ControlNet of its own, in its region; the rest of the picture follows the other "
        "prompt freely. *Route ControlNet* keeps the control off the negative. Change a prompt, or move the heart.",
        Column("1. Model and hint", 225, GREEN),
        Column("2. Prompts, routing", 230, BLUE),
        Column("3. Route, prompt", 225, ORANGE),
        Column("4. Apply", 235, VIOLET),
        Column("5. Draw and result", 320, GRAY),
    )
    drawing.load_tiny()
    hint = drawing.hint(0, shape="heart", radius=0.25, x=0.7, y=0.7, side=192)
    drawing.prompts(1, "a pink heart on a navy background")
    drawing.sheet.titles[drawing.positive[0]] = "In the region"
    region, drawing.negative = _apply(drawing, hint)
    text = {"clip": drawing.clip, "text": "a yellow moon on a navy background"}
    rest = drawing.sheet.add(2, "CLIPTextEncode", title="Everywhere else", height=TEXT, **text)
    drawing.explain(3)
    given = {"region": region, "rest": rest, "mask": output(hint, 1)}
    drawing.positive = drawing.sheet.add(4, REGION.id, title=REGION.name, **given)
    drawing.show(4, drawing.draw(4, drawing.model, DRAWING_192), "Result", "one_region", 300)
    return drawing.sheet


def tiled_upscale() -> Sheet:
    """A picture that Ultimate SD Upscale enlarges tile by tile, each with its part of the hint."""
    drawing = Drawing(
        "Ultimate SD Upscale samples a picture tile by tile. The control hangs on both prompts, so each tile gets its "
        "part of the hint. The MODEL comes straight from the loader.",
        Column("1. Model and hint", 225, GREEN),
        Column("2. Prompts, routing", 225, BLUE),
        Column("3. Draw, route, apply", 230, ORANGE),
        Column("4. Upscale", 270, VIOLET),
        Column("5. Result", 300, GRAY),
    )
    drawing.load_tiny()
    hint = drawing.hint(0, shape="star", radius=0.37, y=0.53, side=384)
    drawing.prompts(1, "a coral star on a navy background")
    image = drawing.draw(2, drawing.model)
    drawing.positive, drawing.negative = _apply(drawing, hint, 2)
    conds = {"positive": drawing.positive, "negative": drawing.negative}
    upscaled = drawing.sheet.add(
        3,
        "UltimateSDUpscaleNoUpscale",
        title="Sample tile by tile",
        upscaled_image=image,
        model=drawing.model,
        vae=drawing.vae,
        **conds,
        denoise=0.5,
        tile_width=128,
        tile_height=128,
        tile_padding=32,
    )
    drawing.show(4, upscaled, "Upscaled", "upscaled")
    drawing.explain(4)
    return drawing.sheet


def _apply(drawing: Drawing, hint: Link, place: int = 3) -> tuple[Link, Link]:
    """Adds cond only, Route ControlNet, and ComfyUI's own Apply node on both prompts; returns the prompts."""
    routing = drawing.cond_only(1)
    net = drawing.sheet.add(
        2, "RouteControlNet", title="Route ControlNet", control_net=drawing.net, routing=routing
    )
    conds = {"positive": drawing.positive, "negative": drawing.negative}
    both = drawing.sheet.add(
        place, "ControlNetApplyAdvanced", **conds, control_net=net, image=hint, **NUMBERS
    )
    return both, output(both, 1)
