"""The config of a run of `cnet train`: a new run's arguments, or those that a resumed run was started with."""

import argparse
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..training.contents import Contents, changes
from ..training.settings import TrainingSettings

#: Defaults of `--tiny`: small pictures, so that a CPU needs only minutes.
TINY_DEFAULTS: dict[str, Any] = {
    "size": 64,
    "steps": 500,
    "batch_size": 16,
    "learning_rate": 1e-3,
    "warmup": 50,
    "ema": 0.99,
}
DEFAULTS: dict[str, Any] = {"size": 512, "steps": 10_000}
#: Where a run's model and data are. A resumed run may find them elsewhere, so their contents are compared instead.
PLACES = ("base", "config", "data")
#: The options for a run's model and data.
ORIGIN = ("tiny", *PLACES, "size", "skip_bad")


def config_of(args: argparse.Namespace, kept: dict[str, Any] | None) -> dict[str, Any]:
    """Returns the config of a run; `kept` is that of the run to resume.

    Raises:
        ValueError: an argument contradicts the run to resume, or its model or data no longer exist.
    """
    given = {k: v for k, v in vars(args).items() if v is not None}
    given |= {name: os.path.abspath(given[name]) for name in PLACES if name in given}
    if kept is None:
        return _new(args, given)
    known = {**kept["settings"], **{name: kept.get(name) for name in ORIGIN}}
    places = {n: _place(args, n, was, given) for n in PLACES if (was := known[n]) is not None}
    for name, value in {**known, **places}.items():
        if name in given and given[name] != value:
            raise ValueError(
                f"`--{name.replace('_', '-')}` is {given[name]}, but the run in {args.out} was started with {value}; "
                "omit it, or start another run."
            )
    return {**kept, **places, "steps": given.get("steps", kept["steps"])}


def _new(args: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    if args.accept_changed_data:
        raise ValueError("`--accept-changed-data` needs `--resume`.")
    values = {**(TINY_DEFAULTS if args.tiny else DEFAULTS), **given}
    chosen = {f.name: values[f.name] for f in fields(TrainingSettings) if f.name in values}
    return {
        **{name: values.get(name) for name in ORIGIN},
        "steps": values["steps"],
        "settings": TrainingSettings(**chosen).to_dict(),
    }


def _place(args: argparse.Namespace, name: str, kept: str, given: dict[str, Any]) -> str:
    """Returns where a resumed run finds its base, configs or data: the place given now, else the one it had."""
    place = given.get(name, os.path.abspath(kept))
    if name not in given and not Path(place).exists():
        raise ValueError(
            f"The run in {args.out} was started with `--{name}` {place}, which no longer exists; give its new path "
            f"with `--{name}`."
        )
    return place


class ContentsCheck:
    """Compares a run's model and data with those that it was started with.

    Args:
        before: None for a new run, or for one without a record.
        out: the run's folder, to name it.
        accept: whether changed data is allowed.
        tell: gets a sentence about accepted changes.
    """

    def __init__(
        self, before: Contents | None, out: Path, *, accept: bool, tell: Callable[[str], None]
    ) -> None:
        self._before, self._out, self._accept, self._tell = before, out, accept, tell
        self.now: Contents | None = None
        self.changed: list[str] = []

    def __call__(self, now: Contents) -> None:
        """Keeps the contents; raises ValueError if they may not replace the former ones."""
        self.now = now
        if self._before is None:
            return
        if self._before.base != now.base:
            raise ValueError(
                f"The base is not the one that the run in {self._out} was started with: the weights of its UNet "
                "differ. Give that base with `--base`, or start another run."
            )
        self.changed = changes(self._before.samples, now.samples)
        if not self.changed:
            return
        what = f"The data differs from what the run in {self._out} was trained on: {'; '.join(self.changed)}."
        if not self._accept:
            raise ValueError(
                f"{what} Restore the data, or add `--accept-changed-data` to continue with the new data."
            )
        self._tell(f"{what} The run continues with the new data.")
