"""What cannot be repeated is refused under the name of the input that asked for it."""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch

Part = Callable[[str], ModuleType]


class Patcher:
    """ComfyUI's ModelPatcher."""


@pytest.fixture
def replay_of(part: Part, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Any]:
    """Returns the replay of a guider's sampling, with as much of ComfyUI as its module imports."""
    host = ModuleType("comfy")
    monkeypatch.setitem(sys.modules, "comfy", host)
    for name, members in {
        "model_management": {},
        "utils": {},
        "samplers": {"Sampler": object},
        "model_patcher": {"ModelPatcher": Patcher},
    }.items():
        module = ModuleType(f"comfy.{name}")
        vars(module).update(members)
        setattr(host, name, module)
        monkeypatch.setitem(sys.modules, f"comfy.{name}", module)
    replay, run = part("nodes.comfyui.replay"), part("nodes.comfyui.run")
    x = torch.zeros(1, 4, 8, 8)
    moment = part("nodes.comfyui.moments").Moment(x, torch.ones(1), 1)
    return lambda guider: replay.Replay(guider, run.Start(x, torch.ones(2)), [moment], "run")


@pytest.mark.parametrize(
    ("method", "name"), [("influence", "leave_one_out"), ("suggestion", "suggest_scales")]
)
def test_a_freed_model_is_refused_for_the_input_that_needs_it(
    replay_of: Callable[[Any], Any], method: str, name: str
) -> None:
    guider = type("Guider", (), {})()
    guider.model_patcher = Patcher()
    replay = replay_of(guider)
    del guider.model_patcher
    with pytest.raises(ValueError, match=rf"no longer in memory; .* for `{name}`\."):
        getattr(replay, method)(13)
