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
PLACES = ("base", "config", "controlnet", "data", "validation")
#: Settings that decide the learning rate; a resumed run may have others.
RATE = ("learning_rate", "warmup", "schedule", "decay_steps")
#: The options for a run's model and data.
ORIGIN = ("tiny", *PLACES, "size", "skip_bad", "hint", "max_samples")


def config_of(args: argparse.Namespace, kept: dict[str, Any] | None) -> dict[str, Any]:
    """Returns the config of a run; `kept` is that of the run to resume.

    Raises:
        ValueError: an argument contradicts the run to resume, or its model or data no longer exist.
    """
    given = {k: v for k, v in vars(args).items() if v is not None}
    given |= {name: os.path.abspath(given[name]) for name in PLACES if name in given}
    return _new(args, given) if kept is None else _resume_config(args, given, kept)


def _new(args: argparse.Namespace, given: dict[str, Any]) -> dict[str, Any]:
    if args.accept_changed_data:
        raise ValueError("`--accept-changed-data` needs `--resume`.")
    values = {**(TINY_DEFAULTS if args.tiny else DEFAULTS), **given}
    chosen = {f.name: values[f.name] for f in fields(TrainingSettings) if f.name in values}
    return {
        **{name: values.get(name) for name in ORIGIN},
        "steps": values["steps"],
        "settings": _settings(chosen, values["steps"]),
    }


def _resume_config(
    args: argparse.Namespace, given: dict[str, Any], kept: dict[str, Any]
) -> dict[str, Any]:
    """Returns the config of a resumed run: its rate, places and steps may differ from before."""
    settings = TrainingSettings.from_dict(kept["settings"]).to_dict()
    known = {**settings, **{name: kept.get(name) for name in ORIGIN}}
    places = {n: _place(args, n, was, given) for n in PLACES if (was := known[n]) is not None}
    rate = {name: given[name] for name in RATE if name in given}
    for name, value in {**known, **places, **rate}.items():
        if name in given and given[name] != value:
            raise ValueError(
                f"`--{name.replace('_', '-')}` is {given[name]}, but the run in {args.out} was started with {value}; "
                "omit it, or start another run."
            )
    steps = given.get("steps", kept["steps"])
    if settings["decay_steps"] == kept["steps"] or rate.get("schedule") == "constant":
        settings["decay_steps"] = None  # defaults to the new number of steps
    origin = {name: known[name] for name in ORIGIN}
    settings = _settings({**settings, **rate}, steps)
    return {**kept, **origin, **places, "steps": steps, "settings": settings}


def _settings(values: dict[str, Any], steps: int) -> dict[str, Any]:
    """Returns checked settings; a rate that decays ends with the run by default.

    Raises:
        ValueError: a value out of range, or a rate that would be 0 for a part of the run.
    """
    if values.get("schedule", "constant") != "constant" and values.get("decay_steps") is None:
        values = {**values, "decay_steps": steps}
    settings = TrainingSettings(**values)
    if settings.decay_steps is not None and settings.decay_steps < steps:
        raise ValueError(
            f"`--decay-steps` is {settings.decay_steps}, but the run takes {steps} steps: the rate would be 0 for the "
            "rest. Omit it, or give at least as many."
        )
    return settings.to_dict()


def changes_of(before: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Returns what differs between two configs of a run: name -> (value before, value now)."""
    old, new = ({**config, **config["settings"]} for config in (before, now))
    names = [name for name in new if name != "settings" and old.get(name) != new[name]]
    return {name: (old.get(name), new[name]) for name in names if name in old}


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
        if self._before.start != now.start:
            raise ValueError(
                f"The ControlNet is not the one that the run in {self._out} was started with: its weights differ. "
                "Give that one with `--controlnet`, or start another run."
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
