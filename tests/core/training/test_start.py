"""Training from an existing ControlNet: step 0 is the file's net in every format; what cannot be trained is named."""

from pathlib import Path

import pytest
import torch
from fakes import SMALL, randomise_, small_unet
from training_models import NoiseSamples, SmallBase, weights

import cnet_core as cn
from cnet_core.nets.union import UnionControlNet
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
