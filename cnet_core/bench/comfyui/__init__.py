"""What control adds to whole prompts in a real ComfyUI, compared with its own ControlNet and other packs'."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ...checkpoints import save_controlnet
from ..settings import BenchSettings
from ..tables import Table
from ..timing import Times
from .graphs import FILE, LIMIT_OF, LIMITS, PLAIN, Way, steps, ways
from .server import PromptCost, Server

#: Where this library's node pack is, unless the library alone is installed.
REPOSITORY = Path(__file__).parents[3]
#: ComfyUI gives nets of unknown width heads 64 wide.
NARROWEST = 64
COLUMNS = (
    "least s",
    "median s",
    "+-%",
    "x no control",
    "overhead / limit",
    "median cpu s",
    "x no control (cpu)",
    "overhead / limit (cpu)",
    "peak MiB",
)
NOTES = (
    "x no control: the median, relative to prompts without control.",
    "overhead / limit: the time that control adds, relative to one more pass of the UNet's encoder and middle over "
    "the controlled rows (medians).",
    "cpu: ComfyUI's processor time, which other programs disturb less.",
    "peak: the GPU memory that a prompt needs, without the weights that stay loaded.",
)


def section(settings: BenchSettings, tell: Callable[[int, int], None]) -> Table:
    """Returns the table of prompts.

    Raises:
        ValueError: there is no ComfyUI, it does not start, or the node pack is not found.
    """
    if settings.comfyui is None:
        raise ValueError("Give the folder of ComfyUI: --comfyui PATH.")
    if settings.config.model_channels < NARROWEST:
        raise ValueError(
            f"ComfyUI's nets have at least {NARROWEST} channels; choose a larger `--width`."
        )
    packs, python = _packs(settings.comfyui), _python(settings)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "models/controlnet").mkdir(parents=True)
        save_controlnet(settings.nets()[1], base / "models/controlnet" / FILE)
        options = settings.comfyui_options
        server = Server(settings.comfyui, python, base, packs, settings.device, options)
        try:
            version = server.version()
            given = _choose_ways(ways(server.nodes()), settings.ways)
            timed = _time_in_turn(server, settings, given, tell)
        finally:
            server.close()
    return _table(settings, version, timed)


def _choose_ways(given: dict[str, Way], names: Sequence[str]) -> dict[str, Way]:
    """Returns no control and the requested ways; all if none was requested."""
    unknown = set(names) - set(given)
    if unknown:
        raise ValueError(
            f"`--ways` has no {', '.join(sorted(unknown))}; choose from {', '.join(given)}."
        )
    return {name: way for name, way in given.items() if not names or name in {PLAIN, *names}}


def _python(settings: BenchSettings) -> str:
    """Returns ComfyUI's Python by its full path, since it runs in another folder; a link stays one."""
    found = shutil.which(settings.comfyui_python or sys.executable)
    if found is None:
        raise ValueError(
            f"`--comfyui-python` is {settings.comfyui_python}; there is no such program."
        )
    return os.path.abspath(found)


def _packs(comfyui: Path) -> dict[str, Path]:
    """Returns this pack, the bench's nodes, and all other packs of this ComfyUI."""
    if not (comfyui / "main.py").is_file():
        raise ValueError(f"`--comfyui` is {comfyui}, which holds no main.py of ComfyUI.")
    there = [
        p for p in sorted((comfyui / "custom_nodes").glob("*")) if (p / "__init__.py").is_file()
    ]
    of_ours = [p for p in (REPOSITORY, Path.cwd(), *there) if _is_ours(p)]
    if not of_ours:
        raise ValueError(
            "The node pack was not found: run `cnet bench --comfyui` from its repository, or put the repository into "
            "custom_nodes."
        )
    others = {pack.name: pack for pack in there if not _is_ours(pack)}
    return {**others, "cnet": of_ours[0], "cnet_bench": Path(__file__).parent / "pack"}


def _is_ours(folder: Path) -> bool:
    return (folder / "nodes/comfyui").is_dir() and (folder / "cnet_core").is_dir()


def _time_in_turn(
    server: Server,
    settings: BenchSettings,
    given: Mapping[str, Way],
    tell: Callable[[int, int], None],
) -> dict[str, list[PromptCost]]:
    """Returns each way's times; every round runs each once, after one round that is not counted."""
    found: dict[str, list[PromptCost]] = {name: [] for name in given}
    total = (settings.rounds + 1) * len(given)
    for turn in range(settings.rounds + 1):
        for position, (name, way) in enumerate(given.items()):
            took = server.run(way(settings, turn))
            if turn:
                found[name].append(took)
            tell(turn * len(given) + position + 1, total)
    return found


def _table(
    settings: BenchSettings, version: str, found: Mapping[str, Sequence[PromptCost]]
) -> Table:
    walls = {name: Times(tuple(t.wall for t in took)) for name, took in found.items()}
    cpus = {name: _cpu_times(took) for name, took in found.items()}
    rows: dict[str, tuple[float | None, ...]] = {}
    for name, times in walls.items():
        cpu = cpus[name]
        rows[name] = (
            times.least,
            times.median,
            100 * times.spread,
            *_ratios(name, walls),
            None if cpu is None or settings.device != "cpu" else cpu.median,
            *_ratios(name, cpus if settings.device == "cpu" else {}),
            max((t.peak / 2**20 for t in found[name] if t.peak is not None), default=None),
        )
    return Table(
        title=f"one prompt of {steps(settings)} steps in ComfyUI {version}, {settings.family} at {settings.side} px, "
        f"{settings.pictures} at once, width {settings.width:g}, on {settings.device}"
        + ", ours compiled" * settings.compile
        + "".join(f", {option}" for option in settings.comfyui_options),
        columns=COLUMNS,
        rows=rows,
        chart="x no control",
        notes=NOTES,
    )


def _cpu_times(took: Sequence[PromptCost]) -> Times | None:
    seconds = tuple(t.cpu for t in took if t.cpu is not None)
    return Times(seconds) if seconds else None


def _ratios(name: str, times: Mapping[str, Times | None]) -> tuple[float | None, float | None]:
    """Returns a way's median over that of no control, and its overhead over the limit's."""
    mine, base = times.get(name), times.get(PLAIN)
    if mine is None or base is None:
        return None, None
    limit = times.get(LIMITS.get(LIMIT_OF.get(name, ""), ""))
    ratio = mine.median / base.median
    if limit is None:
        return ratio, None
    return ratio, (mine.median - base.median) / (limit.median - base.median)
