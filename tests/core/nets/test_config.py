"""UNetConfig: blocks, sizes and what it refuses."""

import pytest
import torch

import cnet_core as cn

# Parameters and tensors of the released ControlNets, as counted in their files.
RELEASED = {
    "SD15": (cn.SD15, 361.3e6, 340),
    "SD21": (cn.SD21, 364.2e6, 340),
    "SDXL": (cn.SDXL, 1251.0e6, 844),
}


@pytest.mark.parametrize("name", RELEASED)
def test_presets_have_the_size_of_the_released_control_nets(name: str) -> None:
    config, parameters, tensors = RELEASED[name]
    with torch.device("meta"):
        net = cn.ControlNet(config)
    assert sum(p.numel() for p in net.parameters()) == pytest.approx(parameters, rel=5e-4)
    assert len(net.state_dict()) == tensors


@pytest.mark.parametrize(("config", "blocks"), [(cn.SD15, 13), (cn.SD21, 13), (cn.SDXL, 10)])
def test_number_of_blocks(config: cn.UNetConfig, blocks: int) -> None:
    assert config.num_blocks == blocks


def test_block_sizes_of_sd15_at_512_are_the_papers() -> None:
    assert cn.SD15.block_sizes(64, 64) == (64, 64, 64, 32, 32, 32, 16, 16, 16, 8, 8, 8, 8)


def test_block_sizes_round_up_and_take_the_geometric_mean() -> None:
    shapes = [(h, w) for _, h, w in cn.SDXL.block_shapes(9, 17)]
    assert shapes == [(9, 17)] * 3 + [(5, 9)] * 3 + [(3, 5)] * 4
    assert cn.SDXL.block_sizes(9, 17)[-1] == pytest.approx(15**0.5)


def test_block_shapes_are_those_of_the_nets_own_residuals() -> None:
    from fakes import SMALL, call_inputs, random_hint, small_net

    x, timesteps, context = call_inputs(rows=1, height=9, width=12)
    residuals = small_net()(x, random_hint(72, 96), timesteps, context)
    assert [tuple(r.shape[1:]) for r in residuals.blocks if r is not None] == list(
        SMALL.block_shapes(9, 12)
    )


def test_config_survives_json() -> None:
    import json

    assert cn.UNetConfig.from_dict(json.loads(json.dumps(cn.SDXL.to_dict()))) == cn.SDXL


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model_channels": 48}, "multiple of 32"),
        ({"transformer_depth": (1, 1)}, "one of each per level"),
        ({"head_dim": 64}, "exactly one"),
    ],
)
def test_impossible_configs_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cn.UNetConfig(**changes)  # type: ignore[arg-type]
