"""Training from an existing ControlNet: step 0 is the file's net in every format; what cannot be trained is named."""

from pathlib import Path

import pytest
import torch
from fakes import SMALL, randomise_, small_unet
from training_models import NoiseSamples, SmallBase, weights

import cnet_core as cn
from cnet_core.checkpoints.low_rank import save_low_rank
from cnet_core.cli import main
from cnet_core.nets.low_rank import LowRankControlNet
from cnet_core.nets.union import UnionControlNet
from cnet_core.tiny.training import tiny_source
from cnet_core.training import Trainer, TrainingSettings
from cnet_core.training.start import load_start

SETTINGS = TrainingSettings(batch_size=2, learning_rate=1e-3, warmup=0)


def net_of(unet: cn.UNet) -> cn.ControlNet:
    """A ControlNet that differs from its UNet everywhere."""
    return randomise_(cn.ControlNet.from_unet(unet), 7)


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "difference", "half"])
def test_a_run_begins_with_the_net_of_the_file(tmp_path: Path, layout: str) -> None:
    base = SmallBase()
    net = net_of(base.unet)
    path = tmp_path / ("net" if layout == "diffusers" else "net.safetensors")
    if layout == "half":
        net, layout = net.to(torch.float16), "ldm"
    cn.save_controlnet(net, path, layout=layout, base=base.unet if layout == "difference" else None)
    expected = cn.load_controlnet(path, base=base.unet, dtype=torch.float32)
    trainer = Trainer(base, NoiseSamples(), SETTINGS, net=load_start(path, base.unet))
    assert all(torch.equal(weights(trainer.net)[k], v) for k, v in expected.state_dict().items())
    draw = torch.Generator().manual_seed(1)
    x, hint = torch.randn(1, 4, 8, 8, generator=draw), torch.rand(1, 3, 64, 64, generator=draw)
    call = (x, hint, torch.tensor([500]), base.text(["a"], 64, 64).context)
    with torch.no_grad():
        pairs = zip(trainer.net(*call).blocks, expected(*call).blocks, strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def test_the_file_stays_as_it_is(tmp_path: Path) -> None:
    """The net's tensors are views of the file's memory map, which training writes into."""
    base = SmallBase()
    path = tmp_path / "net.safetensors"
    cn.save_controlnet(net_of(base.unet), path)
    before = path.read_bytes()
    trainer = Trainer(base, NoiseSamples(), SETTINGS, net=load_start(path, base.unet))
    first = weights(trainer.net)
    trainer.advance()
    assert not all(torch.equal(first[k], v) for k, v in trainer.net.state_dict().items())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (UnionControlNet(SMALL), "is a Union ControlNet, which takes hints of several types"),
        (cn.ControlNet(SMALL, 4), "takes hints of 4 channels; training reads pictures of 3"),
        (cn.ControlNet(cn.UNetConfig(**{**vars(SMALL), "context_dim": 32})), "different families"),
    ],
    ids=["Union", "channels", "family"],
)
def test_what_training_cannot_begin_with_is_named(
    tmp_path: Path, net: cn.ControlNet, message: str
) -> None:
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=message) as raised:
        load_start(tmp_path / "net.safetensors", small_unet())
    assert "net.safetensors" in str(raised.value)


@pytest.mark.parametrize("format", ["difference", "control-lora"])
def test_a_lora_of_a_file_that_needs_its_base_is_refused(tmp_path: Path, format: str) -> None:
    """`cnet merge` could not add it to such a file."""
    unet, path = small_unet(), tmp_path / "net.safetensors"
    if format == "difference":
        cn.save_controlnet(net_of(unet), path, layout="difference", base=unet)
    else:
        save_low_rank(LowRankControlNet(cn.ControlNet.from_unet(unet), 2), path)
    with pytest.raises(ValueError, match=f"`lora_rank` is 4, but .* has the format {format}"):
        load_start(path, unet, lora_rank=4)
    assert load_start(path, unet).hint_channels == 3


def test_the_command_refuses_it_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unet, path = tiny_source(64).base.unet, tmp_path / "net.safetensors"
    save_low_rank(LowRankControlNet(cn.ControlNet.from_unet(unet), 2), path)
    words = ["train", "--tiny", "--out", str(tmp_path / "out"), "--controlnet", str(path)]
    assert main([*words, "--lora-rank", "4", "--device", "cpu", "--steps", "1"]) == 1
    said = capsys.readouterr().err
    assert "`lora_rank` is 4, but" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
