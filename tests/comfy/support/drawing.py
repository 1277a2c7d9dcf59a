"""A sheet that is filled with the nodes that every example graph has."""

from typing import Any

from flows import ROUTING, SCALES
from graphs import Link, output
from sheet import Column, Sheet

from subgraphs import DRAWING, SEED, Subgraph

PROMPT = "a fox on a sky background"
NUMBERS = {"strength": 1.0, "start_percent": 0.0, "end_percent": 1.0}
#: What nodes show besides their rows, in pixels.
TEXT, DRAWN, DIAGRAM, BARS, PICTURE, NOTED = 36, 256, 156, 350, 330, 120
#: Of nodes that have the room for their picture already; js/widgets.js would make them larger after the first run.
GROWN = {"cnet_grown": True}


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
