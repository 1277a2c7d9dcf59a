"""Work that does not fit into memory at once is done in parts, to the same numbers."""

import pytest
import torch
from fakes import call_inputs, random_hint, small_net

import cnet_core as cn
from cnet_core.control.rows import rows_of


class NarrowNet(cn.ControlNet):
    """A ControlNet on a device with room for two rows."""

    def residuals(self, x, *args, **kwargs):
        _allocate(len(x))
        return super().residuals(x, *args, **kwargs)

    def hint_features(self, hint, control_types=None):
        _allocate(len(hint))
        return super().hint_features(hint, control_types)


ROOM = 2


def _allocate(rows: int) -> None:
    if rows > ROOM:
        raise torch.OutOfMemoryError(f"no room for {rows} rows")


def narrow() -> cn.ControlNet:
    net = small_net()
    net.__class__ = NarrowNet
    return net


@pytest.mark.parametrize("hints", [1, 5])
def test_a_batch_that_does_not_fit_is_cut(hints: int) -> None:
    x, timesteps, context = call_inputs(rows=10)
    call = cn.UNetCall(x, timesteps, context, None, rows_of(("uncond", "cond"), 10))
    hint = random_hint(count=hints)
    whole, cut = (
        cn.ControlStack([cn.ControlUnit(net, hint, routing=cn.HintRouting.cond_only())])
        for net in (small_net(), narrow())
    )
    for _ in range(2):
        want, got = whole.residuals(call), cut.residuals(call)
        for a, b in zip(want.blocks, got.blocks, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_a_single_row_that_does_not_fit_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "ROOM", 0)
    x, timesteps, context = call_inputs()
    call = cn.UNetCall(x, timesteps, context, None, rows_of(("uncond", "cond"), 2))
    with pytest.raises(torch.OutOfMemoryError, match="1 rows"):
        cn.ControlStack([cn.ControlUnit(narrow(), random_hint())]).residuals(call)
