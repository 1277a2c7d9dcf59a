"""What is recorded: ratios, gains and states, against numbers computed from the UNet's own features."""

import numpy as np
import pytest
import torch
from fake_hosts import FakeDiffusersUNet, known_call, known_unit, make_fake_unet
from torch import Tensor

import cnet_core as cn
from cnet_core.nets.residuals import RowResiduals
from cnet_core.xray import watch as watching

COND, UNCOND = slice(1, 2), slice(0, 1)


def features_of(unet: torch.nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """Returns the skips and the middle of a FakeUNet without control."""
    x, features = inputs[0], []
    for block in (*unet.input_blocks, unet.middle_block):
        x = block(x)
        features.append(x)
    return features


def expected(features: list[Tensor], rows: slice, factor: float = 1.0) -> list[float]:
    """KnownNet's residual of block k is k + 1 everywhere: its rms over the feature's rms."""
    return [
        factor * (k + 1) / float(f[rows].double().square().mean().sqrt())
        for k, f in enumerate(features)
    ]


@pytest.mark.parametrize(
    ("routing", "cond", "uncond"),
    [
        (cn.HintRouting.both(), 1.0, 1.0),
        (cn.HintRouting.cond_only(), 1.0, 0.0),
        (cn.HintRouting.weighted(0.5, 0.25), 0.5, 0.25),
    ],
    ids=["both", "cond only", "weighted"],
)
def test_ratios_are_of_what_was_injected(
    routing: cn.HintRouting, cond: float, uncond: float
) -> None:
    unet, inputs = make_fake_unet(), known_call()
    features = features_of(unet, inputs)
    with cn.patch_unet(unet, known_unit(routing=routing)) as control:
        unet(*inputs)
    record = control.record
    np.testing.assert_allclose(
        record.ratios("cond")[:, 0], expected(features, COND, cond), rtol=1e-5
    )
    np.testing.assert_allclose(
        record.ratios("uncond")[:, 0], expected(features, UNCOND, uncond), rtol=1e-5
    )


def test_units_are_measured_together_and_their_gains_apart() -> None:
    unet, inputs = make_fake_unet(), known_call()
    units = [
        known_unit(strength=2.0),
        known_unit(strength=0.5, routing=cn.HintRouting.cond_only()),
    ]
    with cn.patch_unet(unet, units) as control:
        control.cfg_scale = 4.0
        unet(*inputs)
    record = control.record
    want = expected(features_of(unet, inputs), COND, 2.5)
    np.testing.assert_allclose(record.ratios("cond")[:, 0], want, rtol=1e-5)
    assert [list(record.gains(unit, "cond")) for unit in (0, 1)] == [[2.0], [0.5]]
    assert [list(record.gains(unit, "uncond")) for unit in (0, 1)] == [[2.0], [0.0]]
    assert [list(record.total_gains(unit)) for unit in (0, 1)] == [[2.0], [2.0]]  # 4 * 0.5


def test_steps_outside_the_window_are_skipped_and_inject_nothing() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call()
    unit = known_unit(end_percent=0.5, routing=cn.HintRouting.cond_only())
    with cn.patch_unet(unet, unit) as control:
        for timestep in (999, 600, 300):
            unet(x, torch.full_like(t, timestep), context)
    record = control.record
    assert record.percents == pytest.approx((0.0, 1 - 600 / 999, 1 - 300 / 999))
    assert [set(s) for s in record.states(0, "cond")] == [{"evaluated"}, {"evaluated"}, {"skipped"}]
    assert [set(s) for s in record.states(0, "uncond")] == [{"skipped"}] * 3
    ratios = record.ratios("cond")
    assert (ratios[:, :2] > 0).all()
    assert (ratios[:, 2] == 0).all()


def test_blocks_without_a_scale_get_nothing() -> None:
    unet, scales = make_fake_unet(), cn.BlockScales.custom([0, 2, 0, 0])
    with cn.patch_unet(unet, known_unit(scales=scales)) as control:
        unet(*known_call())
    assert [bool(r) for r in control.record.ratios("cond")[:, 0]] == [False, True, False, False]


def test_both_branches_in_calls_of_their_own_are_one_step() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call(rows=1)
    with cn.patch_unet(unet, known_unit()) as control:
        for branch in ("cond", "uncond"):
            control.rows = (branch,)
            unet(x, t, context)
    record = control.record
    assert (len(record.calls), len(record.steps)) == (2, 1)
    assert (record.ratios("cond") > 0).all()
    np.testing.assert_allclose(record.ratios("cond"), record.ratios("uncond"))


class _Encoder(FakeDiffusersUNet):
    """Runs its encoder as diffusers does: conv-in, then blocks that return (sample, skips)."""

    def __init__(self) -> None:
        super().__init__()
        self.down_blocks = torch.nn.ModuleList([_Down(2.0), _Down(3.0)])
        for block in self.down_blocks:
            block.resnets, block.downsamplers = (
                torch.nn.ModuleList([torch.nn.Conv2d(4, 4, 1)]),
                None,
            )
        self.mid_block = _Times(4.0)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        down_block_additional_residuals: tuple[Tensor, ...] | None = None,
        mid_block_additional_residual: Tensor | None = None,
    ) -> Tensor:
        h = self.conv_in(sample)
        for block in self.down_blocks:
            h, _ = block(h)
        return self.mid_block(h)


class _Times(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, h: Tensor) -> Tensor:
        return h * self.factor


class _Down(_Times):
    def forward(self, h: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        return h * self.factor, (h * self.factor,)


def test_diffusers_unets_show_their_features_too() -> None:
    unet, inputs = _Encoder(), known_call()
    with cn.patch_unet(unet, known_unit()) as control:
        unet(*inputs)
    h = unet.conv_in(inputs[0]).detach()
    want = expected([h, 2 * h, 6 * h, 24 * h], COND)
    np.testing.assert_allclose(control.record.ratios("cond")[:, 0], want, rtol=1e-5)


def test_features_that_a_host_does_not_show_are_unknown_not_zero() -> None:
    unet = FakeDiffusersUNet()  # runs none of its blocks
    with cn.patch_unet(unet, known_unit()) as control:
        unet(*known_call())
    assert np.isnan(control.record.ratios("cond")).all()


def test_the_record_is_bounded_and_outlives_the_attachment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watching, "LIMIT", 3)
    unet, (x, t, context) = make_fake_unet(), known_call()
    control = cn.patch_unet(unet, known_unit())
    for timestep in range(7, 0, -1):
        unet(x, torch.full_like(t, timestep), context)
    control.remove()
    percents = [1 - timestep / 999 for timestep in (3, 2, 1)]
    assert list(control.record.percents) == pytest.approx(percents)


def test_a_timestep_that_the_caller_changes_later_is_recorded_as_it_was() -> None:
    unet, (x, t, context) = make_fake_unet(), known_call()
    with cn.patch_unet(unet, known_unit()) as control:
        for timestep in (900.0, 100.0):
            unet(x, t.fill_(timestep), context)
    assert control.record.percents == pytest.approx((1 - 900 / 999, 1 - 100 / 999))


def test_large_half_precision_features_do_not_overflow() -> None:
    watch = cn.xray.Watch(rows=(cn.Row("cond"),), wanted=(True,))
    watch.measure(0, torch.full((1, 4, 8, 8), 6e4).half(), torch.full((1, 4, 8, 8), 3e4).half())
    record = cn.xray.Record((watch.call(float),))
    assert record.ratios("cond")[0, 0] == pytest.approx(0.5, rel=1e-3)


def test_norms_of_a_hosts_own_nets_are_of_their_block_and_rows() -> None:
    """Two nets add to one block, which counts once: as a sum of squares."""
    watch = cn.xray.Watch(rows=(cn.Row("uncond"), cn.Row("cond")))
    watch.name_blocks(("0", "1"))
    watch.add_norms(1, (0, 1), torch.tensor([4.0, 8.0]), torch.tensor([1.0, 3.0]))
    watch.add_norms(1, (1,), torch.tensor([9.0]), torch.tensor([4.0]))
    watch.add_norms(0, (1,), torch.tensor([2.0]), torch.tensor([1.0]))
    watch.close()
    call = watch.call(float)
    np.testing.assert_array_equal(call.residuals, [[0, 1], [1, 5]])
    np.testing.assert_array_equal(call.features, [[np.nan, 2], [4, 8]])


def test_a_compiled_host_makes_a_watch_without_a_graph_break() -> None:
    def step(x: Tensor) -> Tensor:
        watch = cn.xray.Watch()
        watch.measure(0, x, x)
        return watch.norms[0]

    x = torch.ones(2, 4, 8, 8)
    compiled = torch.compile(step, backend="eager", fullgraph=True)
    assert compiled(x).tolist() == pytest.approx([16.0, 16.0])


@pytest.mark.parametrize("reuse_tolerance", [0.0, 0.2], ids=["computed", "reused"])
def test_the_scales_in_use_are_recorded(reuse_tolerance: float) -> None:
    """A strength and a time curve are no part of them, and neither is a unit that does nothing."""
    unet, inputs = make_fake_unet(), known_call()
    scales = cn.BlockScales.custom([0.5, 0.25, 0.0, 1.0]).over_time([(0.0, 0.5)])
    acting = known_unit(scales=scales, strength=2.0, reuse_tolerance=reuse_tolerance)
    with cn.patch_unet(unet, [acting, known_unit(strength=0.0)]) as control:
        unet(*inputs)
    assert control.record.scales == {(0.5, 0.25, 0.0, 1.0)}


def test_leaving_a_block_out_shows_its_share_and_records_nothing() -> None:
    unet, inputs = make_fake_unet(), known_call()
    control = cn.patch_unet(unet, known_unit())
    found = cn.xray.leave_one_out(control, lambda: unet(*inputs))
    assert control.record.calls == ()
    control.remove()
    plain = unet(*inputs)

    def with_only(blocks: list[int]) -> Tensor:
        scales = cn.BlockScales.custom([float(k in blocks) for k in range(4)])
        with cn.patch_unet(unet, known_unit(scales=scales)):
            return unet(*inputs)

    whole = with_only([0, 1, 2, 3])
    assert found.total == pytest.approx(float((whole - plain).norm() / plain.norm()), rel=1e-4)
    for block in range(4):
        rest = with_only([k for k in range(4) if k != block])
        want = float((whole - rest).norm() / (whole - plain).norm())
        assert found.blocks[block] == pytest.approx(want, rel=1e-4)


def test_leaving_out_without_units_is_refused() -> None:
    with (
        cn.patch_unet(make_fake_unet(), []) as control,
        pytest.raises(ValueError, match="no units"),
    ):
        cn.xray.leave_one_out(control, lambda: torch.zeros(1))


def test_nothing_waits_for_the_device_while_it_records(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__bool__"):
        monkeypatch.setattr(Tensor, name, lambda self, *a, _n=name: waits.append(_n))
    watch = cn.xray.Watch(position=torch.tensor([5.0]), rows=(cn.Row("cond"),))
    recorder = cn.xray.Recorder()
    watch.expect(RowResiduals(cn.Residuals((torch.ones(1, 4, 8, 8),), None), (0,), 1))
    recorder.add(watch)
    watch.measure(0, torch.ones(1, 4, 8, 8), torch.ones(1, 4, 8, 8))
    recorder.add(cn.xray.Watch())
    assert waits == []


def test_reused_rows_are_recorded_as_reused() -> None:
    unet, inputs = make_fake_unet(), known_call()
    routing = cn.HintRouting.cond_only()
    with cn.patch_unet(unet, known_unit(reuse_tolerance=0.1, routing=routing)) as control:
        for step in range(2):  # the second time nothing has moved
            unet(inputs[0], inputs[1] - step, inputs[2])
    record = control.record
    assert [set(states) for states in record.states(0, "cond")] == [{"evaluated"}, {"reused"}]
    assert [set(states) for states in record.states(0, "uncond")] == [{"skipped"}] * 2
    np.testing.assert_allclose(record.ratios("cond")[:, 0], record.ratios("cond")[:, 1])
