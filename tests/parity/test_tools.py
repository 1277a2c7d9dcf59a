"""Profiles against what other tools' own code made of the same residuals (golden/make_tools.py)."""

import json
from pathlib import Path

import pytest
import torch
from fake_hosts import KnownNet
from safetensors.torch import load_file
from tool_cases import STRENGTH, WINDOWS, cases, key, mask, residuals

import cnet_core as cn
from cnet_core.control.clock import TimestepClock

GOLDEN = Path(__file__).parent / "golden"
STEPS = json.loads((GOLDEN / "tools.json").read_text())["steps"]
PROFILES = [
    "webui",
    "webui_prompt",
    "webui_control",
    "forge",
    "forge_prompt",
    "forge_control",
    "acn_soft",
]


class RecordedNet(KnownNet):
    """Gives the residuals that the tools were given."""

    def __init__(self, family: str, pooled: bool) -> None:
        self.blocks = residuals(family)
        super().__init__(len(self.blocks), 1, pooled)

    def residuals(self, x, features, timesteps, context, y=None, scales=(), *, control_types=None):
        rows = [1] if len(x) == 1 else [0, 1]  # cond alone, or both
        pairs = zip(self.blocks, scales, strict=True)
        return cn.Residuals.of([block[rows] * scale for block, scale in pairs])


def ours(profile: str, family: str, pooled: bool, masked: bool) -> torch.Tensor:
    """(blocks, 2, 1, 2, 2): what the profile's unit adds to the rows (uncond, cond)."""
    unit = cn.profile(profile).unit(
        RecordedNet(family, pooled),
        torch.ones(1, 3, 64, 64),
        STRENGTH,
        mask=mask() if masked else None,
    )
    rows = (cn.Row("uncond"), cn.Row("cond"))
    call = cn.UNetCall(torch.ones(2, 4, 8, 8), torch.zeros(2), torch.ones(2, 1, 5), None, rows)
    found = cn.ControlStack([unit]).residuals(call)
    assert found is not None
    return torch.stack([block for block in found.blocks if block is not None])


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("family", "pooled", "masked"), cases())
def test_a_profile_makes_of_residuals_what_the_tool_makes(
    profile: str, family: str, pooled: bool, masked: bool
) -> None:
    want = load_file(GOLDEN / "tools.safetensors")[key(profile, family, pooled, masked)]
    assert torch.allclose(ours(profile, family, pooled, masked), want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("tool", STEPS)
@pytest.mark.parametrize("index", range(len(WINDOWS)), ids=[str(w) for w in WINDOWS])
def test_a_window_has_the_steps_that_the_tool_has(tool: str, index: int) -> None:
    start, end, n = WINDOWS[index]
    window = cn.profile(tool).window
    clocks = [TimestepClock(torch.zeros(1), (i, n)) for i in range(n)]
    active = [i for i, clock in enumerate(clocks) if all(window.active(start, end, clock))]
    assert active == STEPS[tool][index]
