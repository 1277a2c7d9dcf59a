"""The X-ray in plain sentences: which blocks do most, and when and where each ControlNet acts."""

from collections.abc import Sequence

import numpy as np

from .influence import Influence
from .record import Numbers, Record

#: What the blocks of each depth control, shallow to deep; those between the first and the last control shapes.
DETAIL, SHAPES, LAYOUT = "fine detail", "shapes", "layout"
#: Skip connections that share a name: those of one resolution in SD1.x, SD2.x and SDXL.
TOGETHER = 3
MOST = 0.5


def verdict(record: Record, influence: Influence | None = None) -> str:
    """Returns what control did in a run, in a few plain sentences."""
    values = _by_block(record, influence)
    if not values.sum():
        return "Nothing was added: control had no effect in this run."
    units = [_of_unit(record, unit) for unit in range(record.units)]
    return " ".join([_where(values, influence is not None, record), *filter(None, units)])


def _by_block(record: Record, influence: Influence | None) -> Numbers:
    """Returns each block's influence, or the sum of its additions over the steps of all branches."""
    if influence is not None:
        return np.array(influence.blocks)
    sums = [np.nan_to_num(record.ratios(branch)).sum(1) for branch in record.branches]
    return np.sum(sums, axis=0) if sums else np.zeros(record.blocks)


def _where(values: Numbers, is_effect: bool, record: Record) -> str:
    depths = _depths(len(values))
    shares = [float(values[first : last + 1].sum() / values.sum()) for first, last in depths]
    best = int(np.argmax(shares))
    if record.is_unet:
        place = f"{_name(*depths[best], len(values))} ({_makes(best, len(depths))})"
    else:  # which of its blocks make what is not known
        first, last = (record.names[block] for block in depths[best])
        place = f"block {first}" if first == last else f"blocks {first} to {last}"
    what, come = ("the effect", "comes") if is_effect else ("the control", "is added")
    source = f"from {place}" if is_effect else f"at {place}"
    if shares[best] >= MOST:
        return f"Most of {what} {come} {source}."
    return f"{what.capitalize()} {come} at all depths, the largest part {source}: {_percent(shares[best])}."


def _depths(blocks: int) -> list[tuple[int, int]]:
    """Returns the first and last block of each depth; the middle block goes with the deepest."""
    skips = blocks - 1
    size = max(1, min(TOGETHER, skips // TOGETHER))
    starts = list(range(0, max(skips, 1), size))
    return [
        (start, min(start + size, skips) - 1 if start != starts[-1] else blocks - 1)
        for start in starts
    ]


def _name(first: int, last: int, blocks: int) -> str:
    to_middle = last == blocks - 1
    last = last - 1 if to_middle else last
    numbers = f"block {first}" if last <= first else f"blocks {first}-{last}"
    return f"{numbers} and the middle" if to_middle else numbers


def _makes(depth: int, depths: int) -> str:
    return DETAIL if depth == 0 else LAYOUT if depth == depths - 1 else SHAPES


def _of_unit(record: Record, unit: int) -> str:
    """Returns when and on which side a ControlNet acts; "" if it acts on the whole run."""
    gains = {branch: np.nan_to_num(record.gains(unit, branch)) for branch in record.branches}
    acts = np.any([gain != 0 for gain in gains.values()], axis=0)
    steps = [int(step) for step in np.flatnonzero(acts)]
    name = "The ControlNet" if record.units == 1 else f"Net {unit + 1}"
    if not steps:
        return f"{name} was not used."
    said = [
        *_side({branch: bool(gain.any()) for branch, gain in gains.items()}),
        *_when(steps, record),
    ]
    return f"{name} {' and '.join(said)}." if said else ""


def _side(acts: dict[str, bool]) -> list[str]:
    if len(acts) < 2 or all(acts.values()):
        return []
    return ["acts on your prompt alone" if acts["cond"] else "acts on the negative prompt alone"]


def _when(steps: Sequence[int], record: Record) -> list[str]:
    count, first, last = len(record.steps), steps[0], steps[-1]
    said = [f"starts after {_percent(first / count)} of the steps"] if first else []
    return [
        *said,
        *([f"stops after {_percent((last + 1) / count)} of the steps"] if last < count - 1 else []),
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
