"""Stage 5: the figures that the embedded world must show, and sheets to look at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from base import TextToNoise
from classifier import Classifier
from evaluate import NEW_SHAPES, _field_of
from lab import Run
from PIL import Image
from torch import Tensor

from cnet_core.diffusion.samplers import ddim, last
from cnet_core.engine.stack import ControlUnit
from cnet_core.nets.controlnet import ControlNet
from cnet_core.patching import patch_unet
from cnet_core.tiny.autoencoder import Autoencoder, psnr
from cnet_core.tiny.colours import NAMES
from cnet_core.tiny.demo import ROWS
from cnet_core.tiny.measure import ground_colours, iou, saturation, thing_colours, thing_mask
from cnet_core.tiny.model import starting_noise
from cnet_core.tiny.prompts import scene_tokens
from cnet_core.tiny.scenes import NATURAL, ThingScene, draw, held_out_pairs, random_scene
from cnet_core.tiny.shapes import outline, place_shapes
from cnet_core.tiny.sketches import draw_edges, training_hints
from cnet_core.tiny.text import VOCABULARY
from cnet_core.tiny.things import KINDS

SIDE, SEED, CFG, STEPS = 128, 4242, 7.5, 20
Figures = dict[str, float]


@dataclass
class Assessment:
    """What is measured, and with what."""

    run: Run
    autoencoder: Autoencoder
    classifier: Classifier | None
    base: TextToNoise | None
    control_net: ControlNet | None
    many: int = 384
    some: int = 96

    @torch.no_grad()
    def whole(self) -> dict[str, Figures]:
        """Returns every figure that the parts at hand allow, and writes the sheets."""
        report: dict[str, Figures] = {}
        for part in (
            self.ruler,
            self.words,
            self.held_out,
            self.large,
            self.hints,
            self.empty,
            self.other_outlines,
        ):
            try:
                for name, figures in part():
                    report[name] = {k: round(float(v), 4) for k, v in figures.items()}
                    self.run.log(figure=name, **report[name])
            except Exception as error:
                self.run.log(failed=part.__name__, because=repr(error)[:500])
        return report

    def scenes(
        self, count: int, seed: int = SEED, pairs: Tensor | None = None
    ) -> tuple[ThingScene, Tensor, Tensor]:
        """Returns scenes, their pictures, and where their things are."""
        scene = random_scene(count, self.run.generator(seed), pairs)
        pictures, cover = draw(scene, SIDE)
        return scene, pictures, cover

    def ruler(self):
        """On true pictures, and after the autoencoder."""
        scene, pictures, cover = self.scenes(self.many)
        yield "true", self.of(pictures, scene, cover > 0.5)
        decoded = self.autoencoder.decode(self.autoencoder.encode(pictures))
        figures = self.of(decoded, scene, cover > 0.5)
        yield "autoencoder", {**figures, "psnr": psnr(decoded, pictures)}

    def words(self):
        """Full prompt, no hint."""
        if self.base is None:
            return
        scene, _true, _ = self.scenes(self.many)
        drawn = self.sample(scene_tokens(scene), None, "no_control")
        yield "words", self.of(drawn, scene)
        per_kind = self.right(drawn, scene)
        if per_kind is not None:
            worst = {
                KINDS[k]: float(per_kind[scene.kind == k].float().mean())
                for k in scene.kind.unique().tolist()
            }
            yield "words by kind", dict(sorted(worst.items(), key=lambda item: item[1]))
        for scale in (3.0, 5.0):
            yield (
                f"words, CFG {scale}",
                self.of(self.sample(scene_tokens(scene), None, "no_control", cfg=scale), scene),
            )
        one = _each_kind(scene)
        drawn = self.sample(scene_tokens(one), None, "no_control")
        self.sheet("sheet_words", [drawn[i : i + 9] for i in range(0, len(drawn), 9)])

    def held_out(self):
        """Full prompt, no hint, colour pairs that training never showed."""
        if self.base is None:
            return
        scene, _, _ = self.scenes(
            self.some, SEED + 1, held_out_pairs().to(self.run.device) | _natural_pairs(self.run)
        )
        chosen = scene.colour != NATURAL
        figures = self.of(self.sample(scene_tokens(scene), None, "no_control"), scene)
        yield "held-out colour pairs", {**figures, "painted": float(chosen.float().mean())}

    def large(self):
        """At 192 pixels, prompt alone and with a hint."""
        if self.base is None:
            return
        scene = random_scene(self.some // 2, self.run.generator(SEED + 2))
        pictures, cover = draw(scene, 192)
        drawn = self.sample(scene_tokens(scene), None, "no_control", side=192)
        yield "192 px, words", self.of(drawn, scene)
        if self.control_net is not None:
            steered = self.sample(scene_tokens(scene), draw_edges(pictures), "cond_only", side=192)
            yield "192 px, cond_only", self.of(steered, scene, cover > 0.5)

    def hints(self):
        """With hints: full prompts, conflicting prompts, drawings with gaps."""
        if self.control_net is None:
            return
        scene, pictures, cover = self.scenes(self.some, SEED + 3)
        inside, edges = cover > 0.5, draw_edges(pictures)
        decoded = self.autoencoder.decode(self.autoencoder.encode(pictures))
        yield "autoencoder, same scenes", self.of(decoded, scene, inside)
        rows = [edges, pictures]
        for row in ("no_control", "both", "cond_only", "cond_only_soft"):
            drawn = self.sample(scene_tokens(scene), edges, row)
            yield f"prompt, {row}", self.of(drawn, scene, inside)
            rows += [drawn] if row != "no_control" else []
        other = ThingScene(**{**vars(scene), "kind": scene.kind.roll(1)})
        for row in ("both", "cond_only"):
            drawn = self.sample(scene_tokens(other), edges, row)
            yield f"conflicting prompt, {row}", self.of(drawn, other, inside)
            rows.append(drawn)
        sketches = training_hints(pictures, cover, self.run.generator(SEED + 4))
        drawn = self.sample(scene_tokens(scene), sketches, "cond_only")
        yield "sketches, cond_only", self.of(drawn, scene, inside)
        self.sheet("sheet_hints", [r[:14] for r in (*rows, sketches, drawn)])

    def empty(self):
        """Guidance with the empty prompt."""
        if self.control_net is None:
            return
        scene, pictures, cover = self.scenes(self.some, SEED + 3)
        edges, tokens = draw_edges(pictures), torch.zeros_like(scene_tokens(scene))
        rows = [edges]
        for row in ROWS:
            drawn = self.sample(tokens, edges, row)
            figures = self.of(drawn, scene, cover > 0.5)
            yield (
                f"empty prompt, {row}",
                {k: figures[k] for k in figures if "colour" not in k and k != "ground"},
            )
            rows.append(drawn)
        self.sheet("sheet_empty", [r[:14] for r in rows])

    def other_outlines(self):
        """Two-pixel outlines of ellipses and pentagons, today's default prompt."""
        if self.control_net is None:
            return
        words = [
            VOCABULARY.index(w) + 1
            for w in ["a", "coral", "shape", "on", "a", "navy", "background"]
        ]
        tokens = torch.tensor([[*words, 0]], device=self.run.device).expand(self.some, -1)
        for name, shape in NEW_SHAPES.items():
            field = _field_of(place_shapes(self.some, torch.Generator().manual_seed(SEED)), shape)
            hints = outline(field, 2.0).contiguous().to(self.run.device)
            drawn = self.sample(tokens, hints, "cond_only")
            inside = (field < 0).to(self.run.device)
            yield f"outlines of {name}s", {"adherence": iou(thing_mask(drawn), inside).mean()}

    def of(self, pictures: Tensor, scene: ThingScene, inside: Tensor | None = None) -> Figures:
        """Returns the figures of pictures of a scene; adherence where the thing's place is known."""
        mask, painted = thing_mask(pictures), scene.colour != NATURAL
        right = self.right(pictures, scene)
        figures = {
            "clipped": saturation(pictures).mean(),
            "thing colour": (thing_colours(pictures, mask) == scene.colour)[painted].float().mean(),
            "ground": (ground_colours(pictures) == scene.ground).float().mean(),
        }
        if right is not None:
            figures["thing"] = right.float().mean()
        if inside is not None:
            figures["adherence"] = iou(mask, inside).mean()
        return {k: float(v) for k, v in figures.items()}

    def right(self, pictures: Tensor, scene: ThingScene) -> Tensor | None:
        """Returns whether each picture shows its scene's thing, as the classifier sees it; None without one."""
        if self.classifier is None:
            return None
        small = torch.nn.functional.interpolate(
            pictures.clamp(0, 1), size=(SIDE, SIDE), mode="bilinear", antialias=True
        )
        return self.classifier(small).argmax(1) == scene.kind

    def sample(
        self, tokens: Tensor, hints: Tensor | None, row: str, *, cfg: float = CFG, side: int = SIDE
    ) -> Tensor:
        """Returns the pictures of one row of the demonstration, not clamped; picture i has seed i."""
        base, how = self.base, ROWS[row]
        assert base is not None
        found: list[Tensor] = []
        step = 96 if self.run.device.type == "cuda" else 24
        for begin in range(0, len(tokens), step):
            part = slice(begin, begin + step)
            context = base.text(torch.cat([torch.zeros_like(tokens[part]), tokens[part]]))

            def predict(x: Tensor, timesteps: Tensor, context: Tensor = context) -> Tensor:
                uncond, cond = base.unet(
                    torch.cat([x, x]), torch.cat([timesteps] * 2), context
                ).chunk(2)
                return uncond + cfg * (cond - uncond)

            units = []
            if how is not None:
                assert hints is not None
                assert self.control_net is not None
                units = [ControlUnit(self.control_net, hints[part], routing=how[0], scales=how[1])]
            noise = starting_noise(len(tokens[part]), side, begin).to(self.run.device)
            attachment = patch_unet(base.unet, units)
            attachment.cfg_scale = cfg
            with attachment:
                latents = last(ddim(predict, noise, STEPS))
            found.append(self.autoencoder.decode(latents))
        return torch.cat(found)

    def sheet(self, name: str, rows: Sequence[Tensor]) -> None:
        """Writes rows of pictures as a PNG."""
        lines = [torch.cat(list(row.float().clamp(0, 1)), dim=2) for row in rows if len(row)]
        width = max(line.shape[2] for line in lines)
        lines = [torch.nn.functional.pad(line, (0, width - line.shape[2])) for line in lines]
        values = (torch.cat(lines, dim=1) * 255).round().byte().permute(1, 2, 0).cpu()
        Image.fromarray(np.asarray(values)).save(self.run.folder / f"{name}.png", optimize=True)


def _natural_pairs(run: Run) -> Tensor:
    pairs = torch.zeros(NATURAL + 1, NATURAL, dtype=torch.bool, device=run.device)
    pairs[NATURAL] = True
    return pairs


def _each_kind(scene: ThingScene) -> ThingScene:
    """Returns one scene of each kind in its own colours, the shapes painted, on changing grounds."""
    device = scene.kind.device
    kind = torch.arange(len(KINDS), device=device)
    chosen = random_scene(4096, torch.Generator(device).manual_seed(5))
    index = torch.stack([(chosen.kind == k).int().argmax() for k in kind])
    return ThingScene(**{name: value[index] for name, value in vars(chosen).items()})


__all__ = ["NAMES", "Assessment"]
