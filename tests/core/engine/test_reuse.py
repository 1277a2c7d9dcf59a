"""Reuse of residuals between steps: when they are computed again, by row, and that nothing stale is ever used."""

import pytest
import torch
from fakes import call_inputs, random_hint, small_net
from torch import Tensor

import cnet_core as cn
from cnet_core.control.rows import rows_of

NET = small_net()
UC = ("uncond", "cond")
HINT = random_hint()


def stack(tolerance: float = 0.1, **settings: object) -> cn.ControlStack:
    return cn.ControlStack([cn.ControlUnit(NET, HINT, reuse_tolerance=tolerance, **settings)])


def call(move: list[float] = (0.0, 0.0), timestep: float = 500, **change: object) -> cn.UNetCall:
    """A call whose rows have moved by these shares of their norm, each in a direction of its own."""
    x, _, context = call_inputs()
    shares = torch.tensor(move)[:, None, None, None]
    given = {
        "x": x + shares * x.flip(-1) * (x.norm() / x.flip(-1).norm()),
        "timesteps": torch.full((2,), float(timestep)),
        "context": context,
        "y": None,
        "rows": rows_of(UC, 2),
    }
    return cn.UNetCall(**{**given, **change})


def states(made: cn.ControlStack) -> tuple[str, ...]:
    return made.uses[0].states


def assert_equal(got: cn.Residuals, want: cn.Residuals, rows: slice = slice(None)) -> None:
    for a, b in zip(got.blocks, want.blocks, strict=True):
        assert torch.equal(a[rows], b[rows])


def test_residuals_are_kept_while_the_latents_hardly_move() -> None:
    made = stack(tolerance=0.1)
    first = made.residuals(call())
    assert states(made) == ("evaluated", "evaluated")
    second = made.residuals(call([0.09, 0.09], timestep=480))
    assert states(made) == ("reused", "reused")
    assert_equal(second, first)
    assert made.uses[0].moved == pytest.approx((0.09, 0.09), rel=1e-4)
    assert (made.counts.evaluations, made.counts.rows, made.counts.reused_rows) == (1, 2, 2)


def test_the_distance_is_to_where_they_were_computed_so_small_steps_add_up() -> None:
    made = stack(tolerance=0.1)
    found = [(made.residuals(call([d, d])), states(made)[0])[1] for d in (0, 0.06, 0.12, 0.18)]
    assert found == ["evaluated", "reused", "evaluated", "reused"]


def test_a_row_that_moved_too_far_is_computed_alone() -> None:
    made = stack(tolerance=0.1)
    first = made.residuals(call())
    later = call([0.0, 0.5], timestep=400)
    mixed = made.residuals(later)
    assert states(made) == ("reused", "evaluated")
    assert_equal(mixed, first, slice(0, 1))
    want = stack(0).residuals(later)
    for a, b in zip(mixed.blocks, want.blocks, strict=True):
        torch.testing.assert_close(a[1], b[1], rtol=1e-5, atol=1e-6)
    assert made.counts.rows == 3


def test_the_change_of_what_is_computed_anew_is_recorded() -> None:
    made = stack(tolerance=0.1)
    old = made.residuals(call())
    new = made.residuals(call([0.0, 0.5]))
    a, b = (torch.cat([block[1].flatten() for block in r.blocks]) for r in (old, new))
    torch.testing.assert_close(made.uses[0].changes, ((a - b).norm() / b.norm())[None])


def test_without_a_tolerance_every_step_is_computed() -> None:
    made = stack(tolerance=0)
    for _ in range(3):
        made.residuals(call())
    assert (made.counts.evaluations, made.counts.reused_rows) == (3, 0)


def moved_context() -> Tensor:
    return call().context.roll(1, dims=1)


@pytest.mark.parametrize(
    "change",
    [
        {"timesteps": torch.full((2,), 501.0)},
        {"context": moved_context()},
        {"context": torch.cat([moved_context()] * 2, dim=1)},
        {"x": torch.full((2, 4, 8, 8), torch.nan)},
        {"x": call().x.double()},
        {"rows": rows_of(("cond", "uncond"), 2)},
    ],
    ids=["time moved back", "another text", "a longer text", "NaN", "another dtype", "other rows"],
)
def test_another_call_is_computed_anew(change: dict[str, object]) -> None:
    made = stack(tolerance=10)
    made.residuals(call())
    made.residuals(call(**change))
    assert states(made) == ("evaluated", "evaluated")


def test_another_size_is_computed_anew() -> None:
    made = cn.ControlStack([cn.ControlUnit(NET, random_hint(64, 64), reuse_tolerance=10)])
    made.residuals(call())
    x, timesteps, context = call_inputs(rows=4)
    made.residuals(cn.UNetCall(x, timesteps, context, None, rows_of(UC, 4)))
    assert states(made) == ("evaluated",) * 4


def test_changed_weights_are_seen() -> None:
    net = small_net()
    made = cn.ControlStack([cn.ControlUnit(net, HINT, reuse_tolerance=10)])
    made.residuals(call())
    with torch.no_grad():
        net.zero_convs[0][0].weight.mul_(2)
    made.residuals(call())
    assert states(made) == ("evaluated", "evaluated")


def test_nothing_is_kept_across_a_window() -> None:
    unit = cn.ControlUnit(
        NET, HINT, scales=cn.BlockScales.uniform().over_time([(0.4, 1), (0.5, 0), (0.6, 1)])
    )
    made = cn.ControlStack([cn.ControlUnit(NET, HINT, scales=unit.scales, reuse_tolerance=10)])
    found = [
        (made.residuals(call(timestep=t)), states(made)[0])[1] for t in (700, 650, 499.5, 200, 150)
    ]
    assert found == ["evaluated", "reused", "skipped", "evaluated", "reused"]


def test_rows_without_gain_leave_the_kept_ones_alone() -> None:
    made = stack(tolerance=10, routing=cn.HintRouting.cond_only())
    halves = [
        {
            name: value[part]
            for name, value in {"x": call().x, "timesteps": call().timesteps}.items()
        }
        for part in (slice(0, 1), slice(1, 2))
    ]
    context = call().context
    for step in range(2):
        for branch, half, text in zip(UC, halves, context.split(1), strict=True):
            rows = rows_of((branch,), 1)
            one = cn.UNetCall(half["x"], half["timesteps"], text, None, rows, guided=True)
            made.residuals(one)
        assert states(made) == (("evaluated",), ("reused",))[step]


def test_a_sampler_that_goes_on_in_place_is_seen() -> None:
    made = stack(tolerance=0.1)
    x = call().x.clone()
    made.residuals(call(x=x))
    x.mul_(2)
    made.residuals(call(x=x))
    assert states(made) == ("evaluated", "evaluated")


def test_clear_forgets() -> None:
    made = stack(tolerance=10)
    made.residuals(call())
    made.clear()
    made.residuals(call())
    assert states(made) == ("evaluated", "evaluated")


def test_gains_and_masks_follow_the_step_though_residuals_are_kept() -> None:
    curve = cn.BlockScales.uniform().over_time([(0.0, 0.0), (1.0, 1.0)])
    made = stack(tolerance=10, scales=curve)
    first = made.residuals(call(timestep=999 * 0.5))
    second = made.residuals(call(timestep=999 * 0.25))
    assert states(made) == ("reused", "reused")
    torch.testing.assert_close(second.middle, 1.5 * first.middle)


def test_residuals_that_carry_a_graph_are_not_kept() -> None:
    net = small_net().requires_grad_(True)
    made = cn.ControlStack([cn.ControlUnit(net, HINT, reuse_tolerance=10)])
    for _ in range(2):
        made.residuals(call())
        assert states(made) == ("evaluated", "evaluated")


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_a_bad_tolerance_is_refused(tolerance: float) -> None:
    with pytest.raises(ValueError, match="`reuse_tolerance` is"):
        stack(tolerance)


def test_sdxl_s_vector_is_compared_too() -> None:
    config = cn.UNetConfig(
        model_channels=32, channel_mult=(1, 1, 2, 2), context_dim=16, num_heads=4, y_dim=8
    )
    net = cn.ControlNet(config).requires_grad_(False)
    made = cn.ControlStack([cn.ControlUnit(net, HINT, reuse_tolerance=10)])
    found = []
    for y in (torch.zeros(2, 8), torch.zeros(2, 8), torch.eye(2, 8)):
        made.residuals(call(y=y))
        found.append(states(made))
    assert found == [("evaluated",) * 2, ("reused",) * 2, ("evaluated",) * 2]
