"""What a low-rank training writes: a Control-LoRA of a UNet, or a LoRA of a ControlNet that only `cnet merge` reads."""

from pathlib import Path

import pytest
import torch
from fakes import small_net, small_unet

import cnet_core as cn
from cnet_core.checkpoints.digest import weights_digest
from cnet_core.checkpoints.low_rank import merge_lora, save_low_rank
from cnet_core.cli import main
from cnet_core.nets.low_rank import LowRankControlNet, merge_low_rank


@torch.no_grad()
def low_rank(net: cn.ControlNet, origin: str | None) -> LowRankControlNet:
    found = LowRankControlNet(net, 4, origin=origin)
    draw = torch.Generator().manual_seed(1)
    for value in found.learned.values():
        value += torch.randn(value.shape, generator=draw) * 0.05
    return found.requires_grad_(False)


def assert_close(net: cn.ControlNet, expected: cn.ControlNet, atol: float = 1e-6) -> None:
    found = net.state_dict()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found[name].float(), value, rtol=0, atol=atol, msg=name)


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    """A LoRA of net.safetensors."""
    net = small_net()
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    save_low_rank(low_rank(net, weights_digest(net)), tmp_path / "lora.safetensors")
    return tmp_path / "lora.safetensors"


def test_a_copy_of_a_unet_is_written_as_a_control_lora(tmp_path: Path) -> None:
    unet = small_unet()
    net = low_rank(cn.ControlNet.from_unet(unet), None)
    save_low_rank(net, tmp_path / "lora.safetensors")
    found = cn.identify(tmp_path / "lora.safetensors")
    assert (found.format, found.loads) == ("control-lora", True)
    assert_close(cn.load_controlnet(tmp_path / "lora.safetensors", base=unet), merge_low_rank(net))


def test_merge_gives_the_net_that_was_trained(tmp_path: Path, lora: Path) -> None:
    """The same ControlNet may lie in another layout."""
    start = tmp_path / "start.safetensors"
    cn.save_controlnet(small_net(), start, layout="diffusers")
    assert main(["merge", str(start), str(lora), str(tmp_path / "out.safetensors")]) == 0
    expected = merge_low_rank(low_rank(small_net(), "a digest"))
    assert_close(cn.load_controlnet(tmp_path / "out.safetensors"), expected)


def test_merge_keeps_the_dtype_of_the_control_net(tmp_path: Path) -> None:
    half = small_net().to(torch.float16)
    cn.save_controlnet(half, tmp_path / "half.safetensors")
    start = cn.load_controlnet(tmp_path / "half.safetensors", dtype=torch.float32)
    trained = low_rank(start, weights_digest(start))
    save_low_rank(trained, tmp_path / "lora.safetensors")
    found = merge_lora(tmp_path / "half.safetensors", tmp_path / "lora.safetensors")
    assert {value.dtype for value in found.state_dict().values()} == {torch.float16}
    assert_close(found, merge_low_rank(trained), atol=3e-4)


def test_a_lora_of_a_control_net_is_named_wherever_a_net_is_wanted(lora: Path) -> None:
    found = cn.identify(lora)
    assert (found.what, found.loads) == ("a LoRA of a ControlNet", False)
    with pytest.raises(ValueError, match=r"make it whole with .* `cnet merge CONTROLNET LORA OUT`"):
        cn.load_controlnet(lora, base=small_unet())


def test_merge_refuses_another_control_net(
    tmp_path: Path, lora: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cn.save_controlnet(small_net(5), tmp_path / "other.safetensors")
    words = [str(tmp_path / "other.safetensors"), str(lora), str(tmp_path / "out.safetensors")]
    assert main(["merge", *words]) == 1
    said = capsys.readouterr().err
    assert "was trained on another ControlNet than" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out.safetensors").exists()


def test_merge_refuses_a_file_that_is_no_lora_of_a_control_net(tmp_path: Path, lora: Path) -> None:
    unet = small_unet()
    control_lora = tmp_path / "control_lora.safetensors"
    save_low_rank(low_rank(cn.ControlNet.from_unet(unet), None), control_lora)
    with pytest.raises(ValueError, match="is no LoRA of a ControlNet"):
        merge_lora(tmp_path / "net.safetensors", control_lora)


def test_save_controlnet_writes_a_low_rank_net_whole(tmp_path: Path) -> None:
    net = low_rank(small_net(), "a digest")
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    assert_close(cn.load_controlnet(tmp_path / "net.safetensors"), merge_low_rank(net), 0)
