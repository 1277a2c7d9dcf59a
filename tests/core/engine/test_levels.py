"""Each level of a step has a verb of its own, so that a stack trace tells where it is."""

import traceback
from collections import Counter
from pathlib import Path

import pytest
from fakes import call_inputs, random_hint, small_net, small_unet

import cnet_core as cn

LIBRARY = Path(cn.__file__).parent


def break_down(*_: object) -> None:
    raise RuntimeError("on purpose")


@pytest.mark.parametrize("reuse_tolerance", [0.0, 0.1])
def test_a_name_stands_at_most_twice_in_the_trace_of_a_step(reuse_tolerance: float) -> None:
    unet, net = small_unet(), small_net()
    unit = cn.ControlUnit(net, random_hint(), reuse_tolerance=reuse_tolerance)
    x, timesteps, context = call_inputs(2)
    net.zero_convs[0].register_forward_hook(break_down)
    with cn.patch_unet(unet, unit), pytest.raises(RuntimeError, match="on purpose") as caught:
        unet(x, timesteps, context)
    frames = [
        f for f in traceback.extract_tb(caught.tb) if Path(f.filename).is_relative_to(LIBRARY)
    ]
    assert len(frames) > 10, "this is the trace of a whole step"
    assert max(Counter(frame.name for frame in frames).values()) <= 2, [
        frame.name for frame in frames
    ]
