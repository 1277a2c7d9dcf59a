"""What control adds to whole prompts in a real ComfyUI, beside its own ControlNet and other packs' ones."""

import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ...checkpoints import save_controlnet
from ..settings import Settings
from ..tables import Table
from ..timing import Times
from .graphs import FILE, LIMIT_OF, LIMITS, PLAIN, STEPS, Way, ways
from .server import Server

#: This library's node pack, where it is used from its repository.
REPOSITORY = Path(__file__).parents[3]
#: ComfyUI gives nets of unknown width heads 64 wide.
NARROWEST = 64
COLUMNS = ("least s", "median s", "+-%", "x no control", "x no control (least)", "overhead / limit")
NOTES = (
    "x no control: the median over that of prompts without control.",
    "overhead / limit: what control adds, by medians, over what it adds to run the UNet's own encoder and middle "
    "once more on the rows that get control.",
)


def section(settings: Settings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of prompts.

    Raises:
        ValueError: there is no ComfyUI, it does not start, or this library is not used from its repository.
    """
    if settings.comfyui is None:
        raise ValueError("Say where ComfyUI is: --comfyui PATH.")
    if settings.config.model_channels < NARROWEST:
        raise ValueError(
            f"ComfyUI's nets have at least {NARROWEST} channels; choose a larger `--width`."
        )
    packs = _packs(settings.comfyui)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "models/controlnet").mkdir(parents=True)
        save_controlnet(settings.nets()[1], base / "models/controlnet" / FILE)
        python = settings.comfyui_python or sys.executable
        server = Server(settings.comfyui, python, base, packs, settings.device)
        try:
            version = server.version()
            timed = _interleaved(server, settings, ways(server.nodes()), tell)
        finally:
            server.close()
    return _table(settings, version, timed)


def _packs(comfyui: Path) -> dict[str, Path]:
    """Returns our pack, the bench's nodes, and all other packs that this ComfyUI has."""
    if not (comfyui / "main.py").is_file():
        raise ValueError(f"`--comfyui` is {comfyui}, which holds no main.py of ComfyUI.")
    if not (REPOSITORY / "nodes/bridge").is_dir():
        raise ValueError(
            "The node pack is not here: run `cnet bench --comfyui` from its repository."
        )
    there = [
        p for p in sorted((comfyui / "custom_nodes").glob("*")) if (p / "__init__.py").is_file()
    ]
    others = {p.name: p for p in there if not (p / "cnet_core").is_dir()}
    return {**others, "cnet": REPOSITORY, "cnet_bench": Path(__file__).parent / "pack"}


def _interleaved(
    server: Server, settings: Settings, given: Mapping[str, Way], tell: Callable[[int, int], None]
) -> dict[str, Times]:
    """Returns each way's times; every round runs each once, after one round that is not counted."""
    found: dict[str, list[float]] = {name: [] for name in given}
    total = (settings.rounds + 1) * len(given)
    for turn in range(settings.rounds + 1):
        for position, (name, way) in enumerate(given.items()):
            seconds = server.seconds(way(settings, turn))
            if turn:
                found[name].append(seconds)
            tell(turn * len(given) + position + 1, total)
    return {name: Times(tuple(seconds)) for name, seconds in found.items()}


def _table(settings: Settings, version: str, timed: Mapping[str, Times]) -> Table:
    base = timed[PLAIN]
    rows: dict[str, tuple[float | None, ...]] = {}
    for name, times in timed.items():
        limit = timed.get(LIMITS.get(LIMIT_OF.get(name, ""), ""))
        rows[name] = (
            times.least,
            times.median,
            100 * times.spread,
            times.median / base.median,
            times.least / base.least,
            None if limit is None else (times.median - base.median) / (limit.median - base.median),
        )
    return Table(
        title=f"one prompt of {STEPS} steps in ComfyUI {version}, {settings.family} at {settings.side} px, "
        f"{settings.pictures} at once, width {settings.width:g}, on {settings.device}",
        columns=COLUMNS,
        rows=rows,
        chart="x no control",
        notes=NOTES,
    )
