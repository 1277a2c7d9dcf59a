"""One call of ComfyUI's UNet: which rows, pictures and steps get control."""

import gc
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import fakes
import numpy as np
import pytest
import torch
from specs import spec

Part = Callable[[str], ModuleType]


class Settings:
    """Settings that decide gains, for the whole run and both prompts."""

    def __init__(self, part: Part, strength: float) -> None:
        core = part("cnet_core")
        self.strength = strength
        self.routing, self.needs_branches = core.HintRouting.both(), False
        self.scales, self.window = core.BlockScales.uniform(), core.Window.training()
        self.start_percent, self.end_percent = 0.0, 1.0


POSITIVE, NEGATIVE = [{"uuid": "p"}], [{"uuid": "n"}]
GUIDER = SimpleNamespace(conds={"positive": POSITIVE, "negative": NEGATIVE}, cfg=4.0)
MODEL = SimpleNamespace(
    model_sampling=SimpleNamespace(percent_to_sigma=lambda percent: 10 * (1 - percent)),
    current_patcher=SimpleNamespace(get_additional_models_with_key=lambda key: []),
)


def residuals(
    part: Part,
    unit: Any,
    chunks: tuple[int, ...] = (1, 0),
    arrived: tuple[Any, ...] = (),
    **options: Any,
) -> Any:
    """Returns what units add to a call with these chunks of two pictures each, at half of the run."""
    units = unit if isinstance(unit, list) else [unit]
    step = step_of(part, part("nodes.comfyui.run").Run(units, GUIDER))
    x, timesteps, context = fakes.call_inputs(rows=2 * len(chunks))
    given = {"cond_or_uncond": list(chunks), "sigmas": torch.tensor([5.0]), **options}
    return compute(part, step, (x, timesteps, context), given, arrived)


def compute(part: Part, step: Any, inputs: Any, options: Any, arrived: tuple[Any, ...] = ()) -> Any:
    """Returns what a call of the UNet gets, for all its rows."""
    watch = part("cnet_core.xray").Watch()
    found = step.answer(*inputs, None, options, watch, arrived)
    return None if found is None else found.expand()


def step_of(part: Part, run: Any, conds: Any = (POSITIVE, NEGATIVE), pictures: int = 2) -> Any:
    """Returns the facts of a call of `calc_cond_batch` with these lists of conds."""
    batch = part("nodes.comfyui.layout").CondBatch.of(conds, torch.zeros(pictures, 4, 8, 8))
    return part("nodes.comfyui.step").CondBatchStep.of(run, MODEL, batch)


def rows_with_control(found: Any) -> list[bool]:
    """Which rows got anything."""
    return [bool(row.any()) for row in found.middle]


@pytest.mark.parametrize(
    ("mode", "chunks", "expected"),
    [
        ("both", (1, 0), [True] * 4),
        ("cond_only", (1, 0), [False, False, True, True]),
        ("cond_only", (0, 1), [True, True, False, False]),
        ("uncond_only", (1, 0), [True, True, False, False]),
        ("cond_only", (0, 0, 1), [True, True, True, True, False, False]),
    ],
    ids=["both", "cond only", "other order", "uncond only", "two conds"],
)
def test_rows_go_by_the_chunks_roles(
    part: Part, mode: str, chunks: tuple[int, ...], expected: list[bool]
) -> None:
    routing = getattr(part("cnet_core").HintRouting, mode)()
    assert rows_with_control(residuals(part, spec(part, routing=routing), chunks)) == expected


def test_a_call_without_wanted_rows_runs_no_net(part: Part) -> None:
    routing = part("cnet_core").HintRouting.cond_only()
    assert residuals(part, spec(part, routing=routing), chunks=(1,)) is None


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("why", ["other rows", "time curve", "window"])
def test_a_unit_that_adds_nothing_takes_nothing_from_the_others(
    part: Part, why: str, last: bool
) -> None:
    core = part("cnet_core")
    idle = {
        "other rows": {"routing": core.HintRouting.cond_only()},
        "time curve": {"scales": core.BlockScales.uniform().over_time([(0.0, 1.0), (0.4, 0.0)])},
        "window": {"start_percent": 0.6},
    }[why]
    units = [spec(part), spec(part, **idle)]
    found = residuals(part, units if last else units[::-1], chunks=(1,))
    torch.testing.assert_close(found.middle, residuals(part, spec(part), chunks=(1,)).middle)


@pytest.mark.parametrize(
    ("window", "active"), [((0.0, 1.0), True), ((0.5, 0.5), True), ((0.6, 1.0), False)], ids=str
)
def test_the_window_is_the_model_samplings(
    part: Part, window: tuple[float, float], active: bool
) -> None:
    unit = spec(part, start_percent=window[0], end_percent=window[1])
    assert (residuals(part, unit) is not None) == active


def test_target_gain_counts_the_negative_of_another_call(part: Part) -> None:
    gain = part("cnet_core").HintRouting.target_gain
    together = residuals(part, spec(part, routing=gain(2.0)))
    alone = residuals(part, spec(part, routing=gain(2.0)), chunks=(0,))
    assert alone.middle.std() == pytest.approx(together.middle[2:].std(), rel=0.5)
    full = residuals(part, spec(part), chunks=(0,))
    torch.testing.assert_close(alone.middle, full.middle)


def test_a_context_window_takes_its_own_frames(part: Part) -> None:
    images = torch.rand(6, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    window = SimpleNamespace(index_list=[3, 4], dim=0)
    seen = residuals(part, spec(part, image=images), context_window=window)
    alone = residuals(part, spec(part, image=images[3:5]))
    torch.testing.assert_close(seen.middle, alone.middle)


def test_a_picture_in_front_of_a_context_window_takes_its_own_frame(part: Part) -> None:
    images = torch.rand(6, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    window = SimpleNamespace(index_list=[5], dim=0, causal_anchor_index=2)
    seen = residuals(part, spec(part, image=images), context_window=window)
    alone = residuals(part, spec(part, image=images[[2, 5]]))
    torch.testing.assert_close(seen.middle, alone.middle)


def test_windows_that_move_at_each_step_keep_the_controls_of_two_steps(part: Part) -> None:
    images = torch.rand(12, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    unit = spec(part, image=images)
    run = part("nodes.comfyui.run").Run([unit], GUIDER)
    step = step_of(part, run)
    x, timesteps, context = fakes.call_inputs(rows=4)
    for first, sigma in enumerate([5.0, 4.0, 3.0, 2.0]):
        run.controls.begin(sigma)
        for frame in (first, first + 4, first + 8):
            window = SimpleNamespace(index_list=[frame, (frame + 1) % 12], dim=0)
            options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([sigma])}
            given = {**options, "context_window": window}
            found = compute(part, step, (x, timesteps, context), given)
            alone = residuals(part, unit, context_window=window)
            assert torch.equal(found.middle, alone.middle)
    gc.collect()
    kept = [one for one in gc.get_objects() if type(one).__name__ == "UnitRun"]
    assert len(kept) == 6


def test_a_context_window_of_another_size_than_the_call_is_refused(part: Part) -> None:
    window = SimpleNamespace(index_list=[1, 2, 3], dim=0)
    with pytest.raises(ValueError, match="2 pictures per conditioning instead of 3"):
        residuals(part, spec(part), context_window=window)


def test_rows_that_chunks_do_not_divide_are_refused(part: Part) -> None:
    run = part("nodes.comfyui.run").Run([spec(part)], GUIDER)
    step = step_of(part, run)
    x, timesteps, context = fakes.call_inputs(rows=3)
    given = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    with pytest.raises(ValueError, match="3 rows for 2 conditionings"):
        compute(part, step, (x, timesteps, context), given)


def test_two_calls_at_once_are_both_recorded(part: Part) -> None:
    run = part("nodes.comfyui.run").Run([spec(part)], GUIDER)
    step = step_of(part, run)
    watches = [part("cnet_core.xray").Watch() for _ in range(2)]
    x, timesteps, context = fakes.call_inputs(rows=2)
    feature = torch.ones(2, 4, 8, 8)
    for watch, chunk in zip(watches, (1, 0), strict=True):
        given = {"cond_or_uncond": [chunk], "sigmas": torch.tensor([5.0])}
        step.answer(x, timesteps, context, None, given, watch)
        watches[0].measure(chunk, feature, feature)
    for watch in watches:
        run.record.add(watch)
    first, second = run.record.recorder.record(lambda sigma: sigma / 10).calls
    assert (~np.isnan(first.features)).sum(1).tolist()[:2] == [2, 2]
    assert np.isnan(second.features).all()


@pytest.mark.parametrize("left_out", [0, 1], ids=["no positive", "no negative"])
def test_a_call_that_leaves_one_side_out_is_unguided(part: Part, left_out: int) -> None:
    """Guiders may drop the negative at some steps; their scale says nothing there."""
    conds = [None if k == left_out else side for k, side in enumerate((POSITIVE, NEGATIVE))]
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER), conds)
    assert (step.guided, step.cfg_scale) == (False, 1.0)


@pytest.mark.parametrize("conds", [(POSITIVE,), (NEGATIVE,)], ids=["as PAG", "as SAG"])
def test_a_call_of_one_list_keeps_the_guiders_scale(part: Part, conds: Any) -> None:
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER), conds)
    assert (step.guided, step.cfg_scale) == (True, 4.0)


def test_a_tile_is_refused_before_any_net_runs(part: Part) -> None:
    step = step_of(part, part("nodes.comfyui.run").Run([spec(part)], GUIDER))
    x, timesteps, context = fakes.call_inputs(rows=4, height=4, width=4)
    given = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    with pytest.raises(ValueError, match="cannot match the hint to them"):
        compute(part, step, (x, timesteps, context), given)


def test_a_window_of_animatediff_takes_its_own_frames(part: Part) -> None:
    images = torch.rand(6, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    seen = residuals(part, spec(part, image=images), ad_params={"sub_idxs": [3, 4]})
    alone = residuals(part, spec(part, image=images[3:5]))
    torch.testing.assert_close(seen.middle, alone.middle)


def test_windows_that_stay_keep_their_controls(part: Part) -> None:
    unit = spec(part, image=torch.rand(3, 64, 64, 3, generator=torch.Generator().manual_seed(1)))
    run = part("nodes.comfyui.run").Run([unit], GUIDER)
    step, inputs = step_of(part, run), fakes.call_inputs(rows=4)
    for sigma in (5.0, 4.0, 3.0):
        run.controls.begin(sigma)
        for frames in ([0, 1], [1, 2]):
            window = SimpleNamespace(index_list=frames, dim=0)
            options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([sigma])}
            compute(part, step, inputs, {**options, "context_window": window})
    assert run.controls.counts.hint_encodings == 2


@pytest.mark.parametrize(
    "first", [[], [{"strength": 0.5}]], ids=["alone", "behind one on the MODEL"]
)
def test_a_control_that_arrives_with_the_call_is_one_of_the_models(part: Part, first: Any) -> None:
    """The same numbers and the same work as a unit on the MODEL, over several steps."""
    routing = part("cnet_core").HintRouting.cond_only()
    last = spec(part, routing=routing, reuse_tolerance=0.1, start_percent=0.3)
    before = [spec(part, **changes) for changes in first]
    seen, counts = [], []
    for on_model, arrived in (([*before, last], ()), (before, (last,))):
        run = part("nodes.comfyui.run").Run(on_model, GUIDER)
        step, (x, timesteps, context) = step_of(part, run), fakes.call_inputs(rows=4)
        for sigma in (8.0, 5.0, 4.0, 2.0):
            run.controls.begin(sigma)
            options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([sigma])}
            inputs = (x + 0.02 * sigma, timesteps, context)
            seen.append(compute(part, step, inputs, options, arrived))
        counts.append(run.controls.counts)
    half = len(seen) // 2
    assert counts[0] == counts[1]
    assert counts[0].rows > 0
    for a, b in zip(seen[:half], seen[half:], strict=True):
        assert (a is None) == (b is None)
        assert a is None or all(map(torch.equal, a.blocks, b.blocks))


def test_a_control_outside_its_window_opens_no_net(part: Part) -> None:
    late = spec(part, start_percent=0.9)
    late.source.open = None  # calling it would raise
    assert residuals(part, late) is None


@pytest.mark.parametrize("tiles", [1, 3])
def test_hints_that_were_cut_for_each_row_go_to_their_rows(part: Part, tiles: int) -> None:
    """Tilers stack the rows tile by tile, each tile with all prompts and pictures, and cut a hint for each row."""
    routing = part("cnet_core").HintRouting.cond_only()
    rows = tiles * 4  # uncond and cond of two pictures
    images = torch.rand(rows, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    run = part("nodes.comfyui.run").Run([], GUIDER)
    step = step_of(part, run)
    inputs = fakes.call_inputs(rows=rows)
    options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    cut = spec(part, image=images, routing=routing, by_row=True)
    found = compute(part, step, inputs, options, (cut,))
    assert rows_with_control(found) == [False, False, True, True] * tiles
    for row in (2, rows - 1):
        alone = compute(
            part,
            step_of(part, part("nodes.comfyui.run").Run([], GUIDER), pictures=1),
            tuple(value[row : row + 1] for value in inputs),
            {"cond_or_uncond": [0], "sigmas": torch.tensor([5.0])},
            (spec(part, image=images[row : row + 1], routing=routing),),
        )
        torch.testing.assert_close(found.middle[row : row + 1], alone.middle)


def test_frame_strengths_go_to_the_pictures_of_tiles(part: Part) -> None:
    """Rows of two tiles, each with uncond and cond of two pictures; the second picture gets none."""
    images = torch.rand(8, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    strengths = part("cnet_core").FrameStrengths.parse("0:0.5, 1:0")
    options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    inputs = fakes.call_inputs(rows=8)

    def answer(**settings: Any) -> Any:
        step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER))
        return compute(
            part, step, inputs, options, (spec(part, image=images, by_row=True, **settings),)
        )

    found = answer(frame_strengths=strengths)
    assert rows_with_control(found) == [True, False] * 4
    torch.testing.assert_close(found.middle[::2], 0.5 * answer().middle[::2])


def test_frame_strengths_of_unknown_pictures_are_refused(part: Part) -> None:
    """Six rows of two prompts are three pictures each, but the batch has two."""
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER))
    images = torch.rand(6, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    strengths = part("cnet_core").FrameStrengths.parse("0:1, 1:0")
    options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    cut = spec(part, image=images, by_row=True, frame_strengths=strengths)
    with pytest.raises(ValueError, match="cannot tell which picture each row shows"):
        compute(part, step, fakes.call_inputs(rows=6), options, (cut,))


def test_rows_that_cannot_be_cut_into_tiles_are_refused(part: Part) -> None:
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER))
    images = torch.rand(5, 64, 64, 3, generator=torch.Generator().manual_seed(1))
    options = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    with pytest.raises(ValueError, match="5 rows"):
        compute(
            part, step, fakes.call_inputs(rows=5), options, (spec(part, image=images, by_row=True),)
        )


def test_a_control_that_arrives_takes_latents_of_any_size(part: Part) -> None:
    """Whoever crops the latents crops its hint; a control on the MODEL would get the whole one, and is refused."""
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER))
    inputs = fakes.call_inputs(rows=4, height=4, width=4)
    given = {"cond_or_uncond": [1, 0], "sigmas": torch.tensor([5.0])}
    assert compute(part, step, inputs, given, (spec(part),)) is not None
    both = step_of(part, part("nodes.comfyui.run").Run([spec(part)], GUIDER))
    with pytest.raises(ValueError, match="cannot match the hint to them"):
        compute(part, both, inputs, given, (spec(part),))


def gains(part: Part, routing: str, guider: Any = GUIDER, sigma: float = 5.0) -> tuple[float, ...]:
    """Returns the gains of a call of two pictures and two chunks, uncond first."""
    run = part("nodes.comfyui.run").Run((), guider)
    run.begin(sigma)
    core = part("cnet_core")
    unit = spec(part, routing=getattr(core.HintRouting, routing)(), start_percent=0.4)
    options = {"cond_or_uncond": [1, 0]}
    return step_of(part, run).gains(unit, options, torch.zeros(4, 1, 8, 8))


def test_gains_follow_routing_and_window(part: Part) -> None:
    assert gains(part, "cond_only") == (0, 0, 1, 1)
    assert gains(part, "uncond_only") == (1, 1, 0, 0)
    assert gains(part, "both", sigma=7.0) == (0, 0, 0, 0)


def test_gains_that_need_branches_need_a_guider(part: Part) -> None:
    assert gains(part, "both", guider=None) == (1, 1, 1, 1)
    with pytest.raises(RuntimeError, match="which rows are cond"):
        gains(part, "cond_only", guider=None)


def test_gains_are_those_of_the_settings_whatever_was_freed_before(part: Part) -> None:
    """Python gives the memory of freed settings to the next ones."""
    step = step_of(part, part("nodes.comfyui.run").Run([], GUIDER))
    options, features = {"cond_or_uncond": [1, 0]}, torch.zeros(4, 1)
    for strength in (number / 64 for number in range(64)):
        assert step.gains(Settings(part, strength), options, features) == (strength,) * 4
