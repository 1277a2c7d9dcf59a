"""LowRankControlNet: equal to its net at first, and to plain layers with up @ down in their weights afterwards."""

import torch
from fakes import call_inputs, random_hint, small_net, small_unet

import cnet_core as cn
from cnet_core.nets.encoder import SHARED
from cnet_core.nets.low_rank import LowRankControlNet, merge_low_rank


@torch.no_grad()
def residuals(net: cn.ControlNet) -> tuple[torch.Tensor, ...]:
    x, timesteps, context = call_inputs()
    return net(x, random_hint(), timesteps, context).blocks


@torch.no_grad()
def low_rank(net: cn.ControlNet, rank: int = 4) -> LowRankControlNet:
    """A net that has learned something everywhere."""
    found = LowRankControlNet(net, rank, origin="a digest")
    draw = torch.Generator().manual_seed(1)
    for value in found.learned.values():
        value += torch.randn(value.shape, generator=draw) * 0.05
    return found.requires_grad_(False)


def test_at_first_it_gives_the_residuals_of_its_net() -> None:
    net = small_net()
    pairs = zip(residuals(LowRankControlNet(net, 4)), residuals(net), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_the_merged_net_gives_the_same_residuals() -> None:
    net = low_rank(small_net())
    whole = merge_low_rank(net)
    assert type(whole) is cn.ControlNet
    for a, b in zip(residuals(net), residuals(whole), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * float(b.abs().max()))


def test_the_weights_that_it_merges_are_those_of_the_product() -> None:
    before, net = small_net().state_dict(), low_rank(small_net())
    merged = merge_low_rank(net).state_dict()
    for name in ("input_blocks.1.0.in_layers.2", "time_embed.0"):
        up, down = (net.state_dict()[f"{name}.{half}"] for half in ("up", "down"))
        expected = before[f"{name}.weight"] + torch.einsum("or,r...->o...", up.flatten(1), down)
        torch.testing.assert_close(merged[f"{name}.weight"], expected)


def test_layers_of_the_copy_are_fixed_and_the_rest_learns() -> None:
    net = LowRankControlNet(cn.ControlNet.from_unet(small_unet()), 4)
    net.fix_(small_unet(), torch.float32)
    fixed = {name for name, weight in net.named_parameters() if not weight.requires_grad}
    layers = {name for name, _ in net.low_rank_layers()}
    assert fixed == {n for n, _ in net.named_parameters() if n.rpartition(".")[0] in layers} - {
        f"{name}.{half}" for name in layers for half in ("up", "down")
    }
    assert all(name.startswith(SHARED) for name in layers)
    assert net.learned.keys() == {n for n, _ in net.named_parameters()} - fixed
    assert "input_blocks.1.0.in_layers.0.weight" in net.learned  # a norm


def test_a_copy_of_a_unet_shares_its_weights() -> None:
    unet = small_unet().to(torch.bfloat16)
    net = LowRankControlNet(cn.ControlNet.from_unet(unet).float(), 4)
    net.fix_(unet, torch.bfloat16)
    for name, layer in net.low_rank_layers():
        assert layer.weight is unet.get_submodule(name).weight
    assert net.dtype == torch.float32


def test_what_learns_is_no_part_of_the_net_it_began_with() -> None:
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    low_rank(net)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_layer_has_no_more_ranks_than_rows_or_columns() -> None:
    for _, layer in LowRankControlNet(small_net(), 40).low_rank_layers():
        assert layer.up.shape[1] == min(40, *layer.weight.flatten(1).shape)
