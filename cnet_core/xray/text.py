"""The X-ray in words and numbers: plain text whose tables, indented by four, stay tables in Markdown."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from ..control.routing import Branch
from ..engine.usage import RowState
from .influence import Influence
from .record import Record
from .suggest import Suggestion
from .verdict import verdict

INDENT = "    "


def describe(record: Record, influence: Influence | None = None) -> str:
    """Returns a report of several lines: by block, by ControlNet and step, and the blocks' influence if known."""
    if not record.calls:
        return "Nothing was recorded: the UNet was not called."
    parts = [verdict(record, influence), _head(record), _by_block(record, influence)]
    for unit in range(record.units):
        parts += [f"ControlNet {unit + 1}", "\n".join(_unit(record, unit))]
    return "\n\n".join(parts)


def suggestion_text(found: Suggestion, record: Record) -> str:
    """Returns what is suggested for a run, what it changes and what it saves, with the scales ready to paste.

    The scales are those of the run, with 0 for what is left out. If its ControlNets have different scales, the text
    names the blocks instead.
    """
    if not found.dropped:
        return "Suggested scales: none. Every block changes the prediction by too much to leave it out."
    blocks = f"{len(found.dropped)} of {found.blocks} blocks"
    saved = (
        f"A ControlNet then computes {found.computed} of its {found.blocks} blocks."
        if found.computed < found.blocks
        else "It saves no time, since the deepest block stays."
    )
    return (
        f"Suggested scales: {blocks} get 0. Without them the prediction changes by {100 * found.predicted:.1f} % of "
        f"control's effect, at most, at {_count_steps(len(found.influences))}. {saved}\n\n{_to_paste(found, record)}"
    )


def _to_paste(found: Suggestion, record: Record) -> str:
    """Returns the scales to paste, or the blocks if no text suits every ControlNet."""
    scales = format_scales(found, record)
    if scales is None:
        dropped = ", ".join(record.names[block] for block in found.dropped)
        return f"The ControlNets have different scales: give 0 to these blocks of each: {dropped}."
    return INDENT + scales


def format_scales(found: Suggestion, record: Record) -> str | None:
    """Returns the scales to paste; None without a suggestion, or if the ControlNets have different scales."""
    return found.text(*record.scales) if found.dropped and len(record.scales) <= 1 else None


def _count_steps(steps: int) -> str:
    return "the only step" if steps == 1 else f"{steps} steps"


def number(value: float) -> str:
    """Returns a number in few characters; "-" for NaN."""
    return "-" if np.isnan(value) else f"{value:.3g}"


def _head(record: Record) -> str:
    scales = sorted({call.cfg_scale for call in record.calls if call.cfg_scale is not None})
    cfg = f", CFG scale {', '.join(f'{s:g}' for s in scales)}" if scales else ""
    first, last = record.percents[0], record.percents[-1]
    return (
        f"X-ray: {len(record.steps)} steps (percent {first:.3f} to {last:.3f}), {len(record.calls)} calls of the "
        f"UNet, {record.units} ControlNet{'' if record.units == 1 else 's'}, {' and '.join(record.branches)}{cfg}."
    )


def _by_block(record: Record, influence: Influence | None) -> str:
    """Returns one line per block: the ratio's mean over the steps with injections, and its maximum."""
    if not record.blocks:
        return "Nothing was injected."
    feature = "skip" if record.is_unet else "feature"
    lines = [f"|residual| / |{feature}| by block: mean over the steps with control (largest)", ""]
    width = max(8, *(len(name) + 2 for name in record.names))
    titles = [*record.branches, *(["left out"] if influence else [])]
    lines.append(
        f"{INDENT}{'block':<{width}}" + "".join(f"{title:<18}" for title in titles).rstrip()
    )
    means = [_mean_and_max(record, branch) for branch in record.branches]
    for block in range(record.blocks):
        cells = [column[block] for column in means]
        if influence:
            cells.append(f"{100 * influence.blocks[block]:.1f} %")
        name = record.names[block].ljust(width)
        lines.append(f"{INDENT}{name}" + "".join(f"{cell:<18}" for cell in cells).rstrip())
    if influence:
        lines.append(
            "\nleft out: how much of control's effect on the final prediction changes without the block; the whole "
            f"effect is {100 * influence.total:.3g} % of the prediction without control."
        )
    return "\n".join(lines)


def _mean_and_max(record: Record, branch: Branch) -> list[str]:
    def cell(values: np.ndarray) -> str:
        some = values[values > 0]
        if len(some):
            return f"{number(float(some.mean()))} ({number(float(some.max()))})"
        return "-" if np.isnan(values).any() else "0"

    return [cell(row) for row in record.ratios(branch)]


def _unit(record: Record, unit: int) -> Iterator[str]:
    """Yields what one ControlNet did, with a line for each stretch of equal steps."""
    gains = [record.gains(unit, branch) for branch in record.branches]
    states = [record.states(unit, branch) for branch in record.branches]
    total = record.total_gains(unit)
    lines: list[str] = []
    for step in range(len(record.steps)):
        said = [
            f"{branch} gain {number(gain[step])} {_state(state[step])}"
            for branch, gain, state in zip(record.branches, gains, states, strict=True)
        ]
        lines.append(", ".join([*said, f"after guidance {number(total[step])}"]))
    step = 0
    for line, same in groupby(lines):
        count = len(list(same))
        yield f"{INDENT}{_span(step, step + count - 1)}: {line}"
        step += count


def _span(first: int, last: int) -> str:
    return f"step {first}" if first == last else f"steps {first}-{last}"


def _state(states: frozenset[RowState]) -> str:
    order: Sequence[RowState] = ("evaluated", "reused", "skipped")
    found = [state for state in order if state in states]
    return f"({' and '.join(found)})" if found else "(not there)"
