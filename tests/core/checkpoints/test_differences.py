"""Differences to a base, moves to another base, Control-LoRAs."""

import pytest
import torch
from fakes import SMALL, randomise_, small_net, small_unet
from files import equal_weights
from safetensors.torch import load_file, save_file
from torch import Tensor

import cnet_core as cn
from cnet_core.checkpoints.base import encoder_weights, move_to_base
from cnet_core.checkpoints.container.files import write_tensors
from cnet_core.checkpoints.formats.control_lora import extract_low_rank


def largest_difference(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((v - b[k]).abs().max()) for k, v in a.items())


def trained_from(unet: cn.UNet) -> cn.ControlNet:
    """A net whose middle and outputs differ from its base, and whose encoder does not."""
    net = cn.ControlNet.from_unet(unet)
    randomise_(net.middle_block, 4)
    randomise_(net.zero_convs, 5)
    return net


@pytest.mark.parametrize("base", ["module", "state dict", "file", "checkpoint"])
def test_a_difference_comes_back_over_every_kind_of_base(tmp_path, base) -> None:
    net, unet = small_net(), small_unet()
    prefixed = {f"model.diffusion_model.{k}": v for k, v in unet.state_dict().items()}
    save_file(unet.state_dict(), tmp_path / "unet.safetensors")
    save_file(prefixed, tmp_path / "checkpoint.safetensors")
    bases = {
        "module": unet,
        "state dict": dict(unet.state_dict()),
        "file": tmp_path / "unet.safetensors",
        "checkpoint": tmp_path / "checkpoint.safetensors",
    }
    cn.save_controlnet(net, tmp_path / "d.safetensors", layout="difference", base=bases[base])
    stored = load_file(tmp_path / "d.safetensors")
    assert {v.dtype for v in stored.values()} == {torch.float32}
    key = "middle_block.0.in_layers.2.weight"
    expected = net.state_dict()[key] - unet.state_dict()[key]
    assert torch.equal(stored[f"control_model.{key}"], expected)
    back = cn.load_controlnet(tmp_path / "d.safetensors", base=bases[base])
    assert largest_difference(back.state_dict(), net.state_dict()) < 1e-6


def test_absent_differences_are_the_bases(tmp_path) -> None:
    unet = small_unet()
    net = trained_from(unet)
    cn.save_controlnet(net, tmp_path / "d.safetensors", layout="difference", base=unet)
    stored = load_file(tmp_path / "d.safetensors")
    shared = {f"control_model.{k}" for k in unet.state_dict()}
    same = {k for k in shared & stored.keys() if float(stored[k].abs().max()) < 1e-6}
    short = {k: v for k, v in stored.items() if k not in same}
    assert len(short) < len(stored)
    save_file(short, tmp_path / "short.safetensors")
    assert cn.identify(tmp_path / "short.safetensors").loads
    back = cn.load_controlnet(tmp_path / "short.safetensors", base=unet)
    assert largest_difference(back.state_dict(), net.state_dict()) < 1e-6


def test_a_net_moves_to_another_base_and_back() -> None:
    weights = dict(small_net().state_dict())
    old, new = (encoder_weights(small_unet(seed)) for seed in (0, 9))
    there = move_to_base(weights, old, new, "net")
    key = "time_embed.0.weight"
    assert torch.equal(there[key], weights[key] + new[key] - old[key])
    assert torch.equal(there["zero_convs.0.0.weight"], weights["zero_convs.0.0.weight"])
    assert largest_difference(move_to_base(there, new, old, "net"), weights) < 1e-6


def test_moving_between_families_is_refused() -> None:
    other = cn.UNet(cn.UNetConfig(model_channels=64, channel_mult=(1, 1, 1, 1)))
    weights, base, new = small_net().state_dict(), encoder_weights(small_unet()), other.state_dict()
    with pytest.raises(ValueError, match="another family than `base`"):
        move_to_base(weights, new, base, "net")
    with pytest.raises(ValueError, match="another family than `new_base`"):
        move_to_base(weights, base, encoder_weights(other), "net")


def low_rank_net(unet: cn.UNet, rank: int) -> cn.ControlNet:
    """A net whose matrices differ from the base by matrices of this rank."""
    net = cn.ControlNet.from_unet(unet)
    noise = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for key, weight in net.named_parameters():
            if weight.dim() > 1 and not key.startswith(("zero", "input_hint", "middle_block_out")):
                flat = weight.flatten(1)
                up = torch.randn(flat.shape[0], rank, generator=noise)
                down = torch.randn(rank, flat.shape[1], generator=noise)
                weight += (0.01 * up @ down).reshape(weight.shape)
    return net


def test_a_control_lora_of_enough_rank_loses_nothing(tmp_path) -> None:
    unet = small_unet()
    net = low_rank_net(unet, rank=3)
    tensors, losses = extract_low_rank(net.state_dict(), encoder_weights(unet), "net", rank=3)
    write_tensors(tensors, tmp_path / "lora.safetensors", {})
    found = cn.identify(tmp_path / "lora.safetensors")
    assert (found.format, found.loads) == ("control-lora", True)
    assert max(loss.loss for loss in losses) < 1e-3
    back = cn.load_controlnet(tmp_path / "lora.safetensors", base=unet)
    assert back.config.channel_mult == SMALL.channel_mult
    assert largest_difference(back.state_dict(), net.state_dict()) < 1e-5


def test_the_reported_loss_is_the_share_of_the_difference_that_is_gone() -> None:
    unet, key = small_unet(), "time_embed.0"
    net, base = small_net(), encoder_weights(small_unet())
    tensors, losses = extract_low_rank(net.state_dict(), base, "net", energy=0.5)
    loss = next(one for one in losses if one.key == key)
    delta = net.state_dict()[f"{key}.weight"] - unet.state_dict()[f"{key}.weight"]
    left = delta - tensors[f"{key}.up"] @ tensors[f"{key}.down"]
    assert loss.loss == pytest.approx(float(left.norm() / delta.norm()), rel=1e-4)
    assert loss.loss**2 <= 0.5
    assert tensors[f"{key}.up"].shape == (128, loss.rank)


def test_the_reported_loss_includes_the_rounding_of_what_is_stored() -> None:
    net, base, key = (
        small_net().bfloat16(),
        encoder_weights(small_unet().bfloat16()),
        "time_embed.0",
    )
    tensors, losses = extract_low_rank(net.state_dict(), base, "net", rank=10_000)
    loss = next(one.loss for one in losses if one.key == key)
    delta = net.state_dict()[f"{key}.weight"].float() - base[f"{key}.weight"].float()
    left = delta - tensors[f"{key}.up"].float() @ tensors[f"{key}.down"].float()
    assert loss == pytest.approx(float(left.norm() / delta.norm()), rel=1e-4)
    assert 1e-3 < loss < 1e-2  # of every singular value, so of rounding alone


def test_a_control_lora_of_another_family_is_refused(tmp_path) -> None:
    unet = small_unet()
    tensors, _ = extract_low_rank(small_net().state_dict(), encoder_weights(unet), "net", rank=2)
    write_tensors(tensors, tmp_path / "lora.safetensors", {})
    other = cn.UNet(cn.UNetConfig(model_channels=64, channel_mult=(1, 1, 1, 1)))
    with pytest.raises(ValueError, match="another family"):
        cn.load_controlnet(tmp_path / "lora.safetensors", base=other)


@pytest.mark.parametrize("choice", [{}, {"rank": 1, "energy": 0.5}, {"rank": 0}, {"energy": 1.5}])
def test_rank_and_energy_are_checked(choice) -> None:
    with pytest.raises(ValueError, match="`rank`"):
        extract_low_rank(small_net().state_dict(), encoder_weights(small_unet()), "net", **choice)


def test_writing_and_reading_a_net_leaves_the_base_as_it_was(tmp_path) -> None:
    unet = small_unet()
    cn.save_controlnet(small_net(), tmp_path / "d.safetensors", layout="difference", base=unet)
    tensors = load_file(tmp_path / "d.safetensors")
    lacking = next(key for key in tensors if key.endswith("time_embed.2.bias"))
    del tensors[lacking]  # as a file leaves out what its base has
    save_file(tensors, tmp_path / "short.safetensors")
    low_rank, _ = extract_low_rank(small_net().state_dict(), encoder_weights(unet), "net", rank=1)
    low_rank.pop("time_embed.2.bias")
    write_tensors(low_rank, tmp_path / "lora.safetensors", {})
    for name in ("short", "lora"):
        net = cn.load_controlnet(tmp_path / f"{name}.safetensors", base=unet)
        for weight in net.parameters():
            weight.data.add_(1)  # as an optimizer does
    assert equal_weights(unet.state_dict(), small_unet().state_dict())
