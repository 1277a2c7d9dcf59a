"""What the embedded model can do, in figures: is the thing right, are the colours, does it follow the hint?

`evaluate.py` measures the model that ships, `world/assess.py` one that was just trained.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from held_out import SEED, HeldOut, draw_held_out, sample_row
from other_outlines import load as load_other_outlines
from torch import Tensor, nn

from cnet_core.tiny.autoencoder import psnr
from cnet_core.tiny.demo import OPEN_PROMPT, ROWS
from cnet_core.tiny.drawn_hint import WIDTH
from cnet_core.tiny.measure import ground_colours, iou, saturation, thing_colours, thing_mask
from cnet_core.tiny.model import SIDE, TinyStableDiffusion
from cnet_core.tiny.scenes import NATURAL, ThingScene, clear_grounds, held_out_pairs, random_scene
from cnet_core.tiny.shapes import (
    SHAPES,
    Shape,
    distance_field,
    outline,
    place_shapes,
    regular_polygon,
)
from cnet_core.tiny.sketches import training_hints
from cnet_core.tiny.things import KINDS, THINGS

#: Figures of words are measured on this many times as many scenes as those of hints.
MORE = 4
LARGE_SIDE = 192  # pixels
#: Pictures in a row of a sheet.
SHOWN = 14
#: A conflicting prompt names the first kind that suits, from more than APART down the list of kinds on.
APART = 17

Figures = dict[str, float]
Named = Iterator[tuple[str, Figures]]


@dataclass(frozen=True)
class Assessment:
    """What is measured, and with what."""

    model: TinyStableDiffusion
    classifier: nn.Module | None = None
    count: int = 96  # scenes with hints
    show: Callable[[str, Sequence[Tensor]], None] | None = None  # gets rows of pictures, if any

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.text.positions.device

    @torch.no_grad()
    def measure(self, parts: Sequence[str]) -> Named:
        """Yields the figures of some PARTS, each with its name."""
        for part in parts:
            for name, figures in PARTS[part](self):
                yield name, {key: round(value, 4) for key, value in figures.items()}

    def true_pictures(self) -> Named:
        """True pictures, and what the autoencoder makes of them: what any figure can be at most."""
        true = self.scenes(MORE * self.count)
        yield "true", self.of(true.pictures, true.scene, true.inside)
        decoded = self.rebuild(true.pictures)
        figures = self.of(decoded, true.scene, true.inside)
        yield "autoencoder", {**figures, "psnr": psnr(decoded, true.pictures)}

    def words(self) -> Named:
        """Full prompts, no hint."""
        scene = self.scenes(MORE * self.count).scene
        drawn = sample_row(self.model, scene.prompts(), "no_control")
        yield "words", self.of(drawn, scene)
        if (right := self.find_right(drawn, scene)) is not None:
            by_kind = {
                KINDS[k]: float(right[scene.kind == k].float().mean())
                for k in range(len(KINDS))
                if bool((scene.kind == k).any())
            }
            yield "words by kind", dict(sorted(by_kind.items(), key=lambda item: item[1]))
        if self.show:
            each = sample_row(self.model, _each_kind(self.device).prompts(), "no_control")
            self.show("words", torch.split(each, 9))

    def held_out_colours(self) -> Named:
        """Full prompts of painted things, no hint, in colour pairs that the UNet's training never shows."""
        scene = self.scenes(self.count, 1, pairs=held_out_pairs().to(self.device)).scene
        yield (
            "held-out colour pairs",
            self.of(sample_row(self.model, scene.prompts(), "no_control"), scene),
        )

    def large(self) -> Named:
        """At LARGE_SIDE pixels, without and with a hint."""
        true = self.scenes(max(1, self.count // 2), 2, side=LARGE_SIDE)
        prompts = true.scene.prompts()
        drawn = sample_row(self.model, prompts, "no_control", side=LARGE_SIDE)
        yield "192 px, words", self.of(drawn, true.scene)
        drawn = sample_row(self.model, prompts, "cond_only", true.edges, side=LARGE_SIDE)
        yield "192 px, cond_only", self.of(drawn, true.scene, true.inside)

    def hints(self) -> Named:
        """Full prompts with hints: the scene's own edges, another thing's word, sketches."""
        true = self.scenes(self.count, 3)
        decoded = self.rebuild(true.pictures)
        yield "autoencoder, same scenes", self.of(decoded, true.scene, true.inside)
        rows = [true.edges, true.pictures]
        for row in ("no_control", "both", "cond_only", "cond_only_soft"):
            drawn = sample_row(self.model, true.scene.prompts(), row, true.edges)
            yield f"prompt, {row}", self.of(drawn, true.scene, true.inside)
            rows.append(drawn)
        other = name_other_kinds(true.scene)
        for row in ("both", "cond_only"):
            drawn = sample_row(self.model, other.prompts(), row, true.edges)
            yield f"conflicting prompt, {row}", self.of(drawn, other, true.inside)
            rows.append(drawn)
        generator = torch.Generator(self.device).manual_seed(SEED + 4)
        sketches = training_hints(true.pictures, true.cover, generator).contiguous()
        drawn = sample_row(self.model, true.scene.prompts(), "cond_only", sketches)
        yield "sketches, cond_only", self.of(drawn, true.scene, true.inside)
        if self.show:
            self.show("hints", [row[:SHOWN] for row in (*rows, sketches, drawn)])

    def empty(self) -> Named:
        """The empty prompt, with every row of the demonstration."""
        true = self.scenes(self.count, 3)
        rows = [true.edges]
        for row in ROWS:
            drawn = sample_row(self.model, [""] * self.count, row, true.edges)
            yield f"empty prompt, {row}", _follows(drawn, true.inside)
            rows.append(drawn)
        if self.show:
            self.show("empty", [row[:SHOWN] for row in rows])

    def new_shapes(self) -> Named:
        """Outlines of shapes that training never shows, with a prompt that names no thing."""
        for name, shape in NEW_SHAPES.items():
            placed = place_shapes(self.count, torch.Generator().manual_seed(SEED))
            field = distance_field(placed, SIDE, dict.fromkeys(SHAPES, shape)).to(self.device)
            hints = outline(field, WIDTH).contiguous()
            drawn = sample_row(self.model, [OPEN_PROMPT] * self.count, "cond_only", hints)
            yield f"outlines of {name}s", _follows(drawn, field < 0)

    def other_outlines(self) -> Named:
        """Outlines of other origin, each with the word of a thing that it is not; at most `count` of an origin."""
        every = load_other_outlines()
        scenes = random_scene(len(every.names), torch.Generator(self.device).manual_seed(SEED + 5))
        half, by_name, rows = len(every.names) // 2, dict[str, float](), list[Tensor]()
        for name, begin in (("drawn by hand", 0), ("of clip art", half)):
            part = slice(begin, begin + min(half, self.count))
            scene = _take(scenes, part)
            hints, masks = every.hints[part].to(self.device), every.masks[part].to(self.device)
            drawn = sample_row(self.model, scene.prompts(), "cond_only", hints)
            yield f"outlines {name}", self.of(drawn, scene, masks)
            by_name |= zip(
                every.names[part], map(float, iou(thing_mask(drawn), masks)), strict=True
            )
            rows += [hints, drawn]
        yield "other outlines", by_name
        if self.show:
            self.show("other_outlines", rows)

    def scenes(
        self, count: int, number: int = 0, *, side: int = SIDE, pairs: Tensor | None = None
    ) -> HeldOut:
        """Returns held-out scenes on the model's device; another `number` gives others."""
        return draw_held_out(count, SEED + number, side=side, pairs=pairs, device=self.device)

    def rebuild(self, pictures: Tensor) -> Tensor:
        """Returns what the autoencoder makes of pictures."""
        return self.model.decode(self.model.autoencoder.encode(pictures))

    def of(self, pictures: Tensor, scene: ThingScene, inside: Tensor | None = None) -> Figures:
        """Returns the figures of pictures of a scene; adherence where it is known where the things belong."""
        mask, painted = thing_mask(pictures), scene.colour != NATURAL
        figures = {
            "clipped": float(saturation(pictures).mean()),
            "ground": float((ground_colours(pictures) == scene.ground).float().mean()),
        }
        if bool(painted.any()):
            right = thing_colours(pictures, mask) == scene.colour
            figures["thing colour"] = float(right[painted].float().mean())
        if (found := self.find_right(pictures, scene)) is not None:
            figures["thing"] = float(found.float().mean())
        return figures if inside is None else {**figures, **_follows(pictures, inside)}

    def find_right(self, pictures: Tensor, scene: ThingScene) -> Tensor | None:
        """Returns whether each picture shows its scene's thing, as the classifier sees it; None without one."""
        if self.classifier is None:
            return None
        small = F.interpolate(
            pictures.clamp(0, 1), size=(SIDE, SIDE), mode="bilinear", antialias=True
        )
        return self.classifier(small).argmax(1) == scene.kind


def name_other_kinds(scene: ThingScene) -> ThingScene:
    """Returns the scene with another thing's word that suits colour and ground; its own where no other does."""
    clear = clear_grounds().to(scene.kind.device).clone()
    clear[len(THINGS) :, NATURAL] = False  # a shape is always painted
    others = (torch.arange(len(KINDS) - 1, device=scene.kind.device) + APART) % (len(KINDS) - 1) + 1
    kinds = (scene.kind[:, None] + F.pad(others, (0, 1))) % len(KINDS)  # its own is the last
    suits = clear[kinds, scene.colour[:, None], scene.ground[:, None]]
    return replace(scene, kind=kinds.gather(1, suits.int().argmax(1, keepdim=True))[:, 0])


def _follows(pictures: Tensor, inside: Tensor) -> Figures:
    return {
        "adherence": float(iou(thing_mask(pictures), inside).mean()),
        "clipped": float(saturation(pictures).mean()),
    }


def _each_kind(device: torch.device) -> ThingScene:
    """Returns one scene of each kind, on changing grounds."""
    many = random_scene(4096, torch.Generator(device).manual_seed(5))
    first = [(many.kind == kind).int().argmax() for kind in range(len(KINDS))]
    return _take(many, torch.stack(first))


def _take(scene: ThingScene, which: Tensor | slice) -> ThingScene:
    return ThingScene(**{name: values[which] for name, values in vars(scene).items()})


def _ellipse(u: Tensor, v: Tensor) -> Tensor:
    """Half axes 1 and 0.6; first-order distance f / |grad f|."""
    a, b = 1.0, 0.6
    value = ((u / a) ** 2 + (v / b) ** 2).sqrt()
    slope = ((u / a**2) ** 2 + (v / b**2) ** 2).sqrt() / value.clamp(min=1e-6)
    return (value - 1) / slope.clamp(min=1e-6)


NEW_SHAPES: dict[str, Shape] = {"ellipse": _ellipse, "pentagon": regular_polygon(5)}

#: What can be measured, by name, in order.
PARTS: dict[str, Callable[[Assessment], Named]] = {
    "true_pictures": Assessment.true_pictures,
    "words": Assessment.words,
    "held_out_colours": Assessment.held_out_colours,
    "hints": Assessment.hints,
    "empty": Assessment.empty,
    "new_shapes": Assessment.new_shapes,
    "other_outlines": Assessment.other_outlines,
    "large": Assessment.large,
}
#: What needs neither a trained UNet nor a ControlNet, and what needs no ControlNet.
WITHOUT_UNET = ("true_pictures",)
WITHOUT_CONTROL = (*WITHOUT_UNET, "words", "held_out_colours")
