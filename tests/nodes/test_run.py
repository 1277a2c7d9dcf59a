"""What a run keeps between steps, and what it closes at its end."""

import gc
import weakref
from collections.abc import Callable
from copy import deepcopy
from types import ModuleType, SimpleNamespace

import pytest
import torch
from specs import spec

Part = Callable[[str], ModuleType]
GUIDER = SimpleNamespace(conds={}, cfg=4.0)
MODEL = SimpleNamespace(
    current_patcher=SimpleNamespace(get_additional_models_with_key=lambda key: [])
)


def test_a_run_closes_its_nets_once_each(part: Part) -> None:
    closed: list[int] = []
    unit = spec(part)
    unit.source.net.close = lambda: closed.append(1)
    run = part("nodes.comfyui.run").Run([unit, unit], GUIDER)
    run.nets.open(unit.source, MODEL), run.nets.open(unit.source, MODEL)
    run.close()
    assert closed == [1]


def test_a_closed_run_is_freed_at_once(part: Part) -> None:
    """It holds the guider, and so the MODEL, which ComfyUI must see go."""
    run = part("nodes.comfyui.run").Run([spec(part)], GUIDER)
    run.foreign = SimpleNamespace(run=run, clear=lambda: None)
    run.close()
    seen = weakref.ref(run)
    gc.disable()
    del run
    gc.enable()
    assert seen() is None


def test_a_deep_copy_of_a_runs_options_holds_the_run_itself(part: Part) -> None:
    """Other packs deep-copy the options in the midst of a run; its nets and caches must not follow."""
    run = part("nodes.comfyui.run").Run([spec(part)], GUIDER)
    assert deepcopy({"transformer_options": {"run": run}})["transformer_options"]["run"] is run


@pytest.mark.parametrize(
    ("past_middle", "kept"),
    [
        ([], []),
        ([False], [0]),
        ([True], [0]),
        ([False, False, False], [0, 2]),
        ([False, True], [0, 1]),
        ([False, False, True, True, True], [0, 2, 4]),
        ([True, True, True], [0, 1, 2]),
    ],
    ids=["none", "one", "one late", "ends early", "two", "all", "begins late"],
)
def test_a_run_keeps_its_first_its_middle_and_its_last_prediction(
    part: Part, past_middle: list[bool], kept: list[int]
) -> None:
    module = part("nodes.comfyui.moments")
    moments = module.RunMoments()
    for seed, past in enumerate(past_middle):
        moments.add(module.Moment(torch.zeros(1), torch.zeros(1), seed), past)
    assert [moment.seed for moment in moments.list()] == kept
