"""What a run keeps between steps, and what it closes at its end."""

from collections.abc import Callable
from copy import deepcopy
from types import ModuleType, SimpleNamespace

import fakes
from specs import spec

Part = Callable[[str], ModuleType]
GUIDER = SimpleNamespace(conds={}, cfg=4.0)
MODEL = SimpleNamespace(
    current_patcher=SimpleNamespace(get_additional_models_with_key=lambda key: [])
)


def test_windows_that_stay_keep_their_stacks(part: Part) -> None:
    run, net = part("nodes.bridge.run").Run([spec(part)], GUIDER), fakes.small_net()
    run.at(5.0)
    first = [run.stack(0, net, (8, 8), frames) for frames in ((0, 1), (1, 2))]
    for sigma in (5.0, 4.0, 3.0):
        run.at(sigma)
        again = [run.stack(0, net, (8, 8), frames) for frames in ((0, 1), (1, 2))]
        assert [a is b for a, b in zip(first, again, strict=True)] == [True, True]


def test_a_run_closes_its_nets_once_each(part: Part) -> None:
    closed: list[int] = []
    unit = spec(part)
    unit.source.net.close = lambda: closed.append(1)
    run = part("nodes.bridge.run").Run([unit, unit], GUIDER)
    run.net(0, MODEL), run.net(1, MODEL)
    run.close()
    assert closed == [1]


def test_a_deep_copy_of_a_runs_options_holds_the_run_itself(part: Part) -> None:
    """Other packs deep-copy the options in the midst of a run; its nets and caches must not follow."""
    run = part("nodes.bridge.run").Run([spec(part)], GUIDER)
    assert deepcopy({"transformer_options": {"run": run}})["transformer_options"]["run"] is run
