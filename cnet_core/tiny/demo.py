"""The demonstration: one hint, every routing and schedule, with the prompt and with the empty prompt."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from torch import Tensor

from ..control.routing import HintRouting
from ..control.scales import BlockScales
from ..diffusion.samplers import last
from ..engine.stack import ControlUnit, Counts
from .measure import iou, saturation, thing_mask
from .model import TinyStableDiffusion
from .outlines import find_area

DEFAULT_KIND = "fox"  # whose edges are the hint
DEFAULT_PROMPT = "a fox on a sky background"
OPEN_PROMPT = "a coral shape on a navy background"  # names no thing, so it suits every hint
#: Stands in the report beside an adherence of None.
NOT_MEASURED = "not measured: the hint's lines enclose no area"
#: Columns of the contact sheet: name -> (routing, scales); None means no control.
ROWS: dict[str, tuple[HintRouting, BlockScales] | None] = {
    "no_control": None,
    "both": (HintRouting.both(), BlockScales.uniform()),
    "cond_only": (HintRouting.cond_only(), BlockScales.uniform()),
    "cond_only_soft": (HintRouting.cond_only(), BlockScales.soft()),
    "cond_only_resolution": (HintRouting.cond_only(), BlockScales.resolution()),
    "cond_only_resolution_raw": (HintRouting.cond_only(), BlockScales.resolution(normalised=False)),
    "target_gain": (HintRouting.target_gain(2.0), BlockScales.uniform()),
}


@dataclass(frozen=True)
class DemoSettings:
    """The settings of a demonstration."""

    prompt: str = DEFAULT_PROMPT
    steps: int = 20
    cfg_scale: float = 7.5
    seed: int = 0


@dataclass(frozen=True)
class Result:
    """One picture of the demonstration and its figures."""

    row: str
    line: str  # "prompt" or "empty": which line of the sheet
    prompt: str
    #: IoU with where the hint's thing is: `inside` if given, else what its lines go around; None if neither is known.
    adherence: float | None
    saturation: float  # fraction of values outside 0..1 before clamping
    scales: tuple[float, ...]  # by block, shallow to deep, middle last; empty without control
    gains: dict[str, float]  # by branch
    control_net_evaluations: int
    control_net_rows: int
    seconds: float

    @property
    def name(self) -> str:
        """File name without its ending."""
        return f"{self.row}__{self.line}"

    def figures(self) -> dict[str, object]:
        """Returns plain values for JSON."""
        note = {"adherence_note": NOT_MEASURED} if self.adherence is None else {}
        return {"name": self.name, **asdict(self), **note}


def run(
    model: TinyStableDiffusion,
    hint: Tensor,
    settings: DemoSettings,
    on_step: Callable[[str], None] = lambda name: None,
    inside: Tensor | None = None,
) -> Iterator[tuple[Result, Tensor]]:
    """Yields each picture (3, H, W), not clamped, with its figures; same settings, same pixels.

    Args:
        model: the embedded model.
        hint: (1, 3, H, W), 0..1.
        settings: prompt, steps, CFG scale, seed.
        on_step: called after each sampler step with the picture's row.
        inside: where the hint's thing is, (1, H, W), bool; None: what the hint's lines go around.
    """
    wanted = find_wanted(hint) if inside is None else inside
    for row in ROWS:
        for line, prompt in (("prompt", settings.prompt), ("empty", "")):
            yield _one(model, hint, wanted, settings, row, line, prompt, on_step)


def _one(
    model: TinyStableDiffusion,
    hint: Tensor,
    wanted: Tensor | None,
    settings: DemoSettings,
    row: str,
    line: str,
    prompt: str,
    on_step: Callable[[str], None],
) -> tuple[Result, Tensor]:
    begin = time.monotonic()
    unit = _unit(model, hint, row)
    counts = Counts()
    steps = model.sample(
        [prompt],
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        seed=settings.seed,
        side=hint.shape[-1],
        units=[] if unit is None else [unit],
        counts=counts,
    )
    picture = model.decode(last(_tell_each_step(steps, lambda: on_step(row))))
    seconds = time.monotonic() - begin
    result = Result(
        row=row,
        line=line,
        prompt=prompt,
        adherence=None if wanted is None else adherence(picture, wanted),
        saturation=float(saturation(picture)),
        scales=() if unit is None else _scales(unit, hint),
        gains={} if unit is None else _gains(unit, settings.cfg_scale),
        control_net_evaluations=counts.evaluations,
        control_net_rows=counts.rows,
        seconds=round(seconds, 3),
    )
    return result, picture[0]


def find_wanted(hint: Tensor) -> Tensor | None:
    """Returns what a hint's lines go around, (1, H, W), bool; None if they go around nothing, gaps closed."""
    area, known = find_area(hint)
    return area if bool(known) else None


def adherence(picture: Tensor, wanted: Tensor) -> float:
    """Returns the IoU of the thing in a picture (1, 3, H, W) with where it should be, (1, H, W), bool."""
    return float(iou(thing_mask(picture), wanted))


def _unit(model: TinyStableDiffusion, hint: Tensor, row: str) -> ControlUnit | None:
    how = ROWS[row]
    return how and ControlUnit(model.control_net, hint, routing=how[0], scales=how[1])


def _scales(unit: ControlUnit, hint: Tensor) -> tuple[float, ...]:
    height, width = hint.shape[-2] // 8, hint.shape[-1] // 8
    return unit.scales.values(unit.net.config.block_sizes(height, width))


def _gains(unit: ControlUnit, cfg_scale: float) -> dict[str, float]:
    uncond, cond = unit.routing.gains(("uncond", "cond"), cfg_scale)
    return {"cond": cond, "uncond": uncond, "total": cfg_scale * cond + (1 - cfg_scale) * uncond}


def _tell_each_step(steps: Iterator[Tensor], tell: Callable[[], None]) -> Iterator[Tensor]:
    for latents in steps:
        tell()
        yield latents
