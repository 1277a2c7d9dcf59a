"""Keys under prefixes, weights under keys, nets in wrappers: what training programs put around a ControlNet."""

import json
import tempfile
from functools import cache
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, randomise_, small_net, small_unet
from files import equal_weights
from safetensors.torch import load_file, save_file
from torch import nn

import cnet_core as cn
from cnet_core.checkpoints.metadata import CONFIG_KEY
from cnet_core.checkpoints.unet import load_unet
from cnet_core.nets.union import UnionControlNet

NAMES = ("_orig_mod.", "module.", "controlnet.", "control_model.", "net.")
PREFIXES = [
    *NAMES,
    *("".join(pair) for pair in permutations(NAMES, 2)),
    "".join(NAMES),
    "model.pipe.controlnet.",
]


@cache
def small_weights() -> dict[str, torch.Tensor]:
    return small_net().state_dict()


def check(path: Path) -> None:
    """The file loads, and identify agrees."""
    assert equal_weights(cn.load_controlnet(path).state_dict(), small_weights())
    found = cn.identify(path)
    assert found.loads, found
    assert found.parameters == sum(v.numel() for v in small_weights().values())


@cache
def weights(layout: str) -> dict[str, torch.Tensor]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        cn.save_controlnet(small_net(), path, layout=layout)  # type: ignore[arg-type]
        return {k.removeprefix("control_model."): v for k, v in load_file(path).items()}


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_prefixes_load_in_any_order(tmp_path: Path, layout: str, prefix: str) -> None:
    named = {prefix + k: v.clone() for k, v in weights(layout).items()}
    save_file(named, tmp_path / "y.safetensors", {CONFIG_KEY: json.dumps(SMALL.to_dict())})
    check(tmp_path / "y.safetensors")


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
def test_only_the_controlnet_is_taken_of_a_larger_module(tmp_path: Path, layout: str) -> None:
    own = weights(layout)
    others = {
        **{f"controlnet.{k}": v for k, v in own.items()},
        **{f"controlnet_ema.{k}": v * 2 for k, v in own.items()},
        **{f"unet.{k}": v for k, v in small_unet().state_dict().items()},
        "vae.encoder.conv_in.weight": torch.zeros(2),
    }
    save_file({k: v.clone() for k, v in others.items()}, tmp_path / "y.safetensors")
    net = cn.load_controlnet(tmp_path / "y.safetensors")
    assert equal_weights(net.state_dict(), small_weights())
    assert equal_weights(
        load_unet(tmp_path / "y.safetensors").state_dict(), small_unet().state_dict()
    )


def test_parts_that_were_compiled_alone_load(tmp_path: Path) -> None:
    own = weights("ldm")
    named = {
        k.replace("input_blocks.1.", "input_blocks.1._orig_mod."): v.clone() for k, v in own.items()
    }
    assert named.keys() != own.keys()
    save_file(named, tmp_path / "y.safetensors")
    assert equal_weights(
        cn.load_controlnet(tmp_path / "y.safetensors").state_dict(), small_weights()
    )


@pytest.mark.parametrize("names", [("nets.0.", "nets.1."), ("controlnet.", "net.")])
def test_several_controlnets_in_one_file_are_named(tmp_path: Path, names: tuple[str, str]) -> None:
    both = {name + k: v.clone() for name in names for k, v in weights("diffusers").items()}
    save_file(both, tmp_path / "y.safetensors")
    assert cn.identify(tmp_path / "y.safetensors").what == "a file of several ControlNets"
    with pytest.raises(ValueError, match="a file of several ControlNets"):
        cn.load_controlnet(tmp_path / "y.safetensors")


@pytest.mark.parametrize(
    "key",
    [
        "controlnet",
        "control_model",
        "control_net",
        "net",
        "params",
        "state_dict",
        "model",
        "module",
        "weights",
    ],
)
def test_weights_under_a_key_load(tmp_path: Path, key: str) -> None:
    own = small_net().state_dict()
    torch.save(
        {key: own, "optimizer": {"state": {0: torch.ones(2)}}, "step": 3}, tmp_path / "x.pth"
    )
    check(tmp_path / "x.pth")
    torch.save(
        {"state_dict": {key: {"module": own}}, "unet": {"a": torch.ones(1)}}, tmp_path / "x.pth"
    )
    check(tmp_path / "x.pth")


NETS = {
    "settings under a wrapper's name": lambda net, unet: {**net, "params": {"lr": 1}},
    "a UNet in front": lambda net, unet: {"unet": unet, "controlnet": net},
    "a UNet as state_dict": lambda net, unet: {"state_dict": unet, "controlnet": net},
    "a tensor outside": lambda net, unet: {"step": torch.tensor(3), "state_dict": net},
    "settings in front": lambda net, unet: {"model": {"width": 32}, "state_dict": net},
}


@pytest.mark.parametrize("case", NETS)
def test_the_weights_that_are_asked_for_are_taken(tmp_path: Path, case: str) -> None:
    torch.save(NETS[case](small_net().state_dict(), small_unet().state_dict()), tmp_path / "x.pth")
    check(tmp_path / "x.pth")


UNETS = {
    "a ControlNet in front": lambda net, unet: {"controlnet": net, "state_dict": unet},
    "each under its name": lambda net, unet: {"unet": unet, "controlnet": net},
    "alone": lambda net, unet: {"unet": unet},
}


@pytest.mark.parametrize("case", UNETS)
def test_the_unet_is_taken_as_base(tmp_path: Path, case: str) -> None:
    torch.save(UNETS[case](small_net().state_dict(), small_unet().state_dict()), tmp_path / "x.pth")
    assert equal_weights(load_unet(tmp_path / "x.pth").state_dict(), small_unet().state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_lightning_checkpoints_with_numpys_numbers_load(tmp_path: Path, zipped: bool) -> None:
    value = {
        "state_dict": {f"control_model.{k}": v for k, v in small_net().state_dict().items()},
        "epoch": np.int64(3),
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": np.float32(0.5)}},
        "loops": {"losses": [np.float64(0.1), np.float16(2), np.bool_(True), np.uint8(7)]},
        "lr_schedulers": [{"base_lrs": [np.float64(1e-4)], "dtype": np.dtype("float32")}],
    }
    torch.save(value, tmp_path / "x.ckpt", _use_new_zipfile_serialization=zipped)
    before = torch.serialization.get_safe_globals()
    check(tmp_path / "x.ckpt")
    assert set(torch.serialization.get_safe_globals()) == set(before)


class Callback:
    """A class of a training program."""


@pytest.mark.parametrize(
    "more", [{"path": Path("a")}, {Callback: {}}], ids=["Path", "a class as key"]
)
def test_other_objects_are_named_with_a_way_out(tmp_path: Path, more: dict[object, object]) -> None:
    torch.save({"state_dict": small_net().state_dict(), "more": more}, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=r"\('[\w.]*(PosixPath|Callback|pathlib)") as error:
        cn.load_controlnet(tmp_path / "x.ckpt")
    assert "ask its author to save only the weights" in str(error.value)
    assert "torch.load" not in str(error.value)
    assert "save only the weights" in cn.identify(tmp_path / "x.ckpt").problems[0]


class FakeDDP(nn.Module):
    """What DDP and DataParallel are from outside."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def _partly_compiled(net: cn.ControlNet) -> nn.Module:
    net.middle_block = torch.compile(net.middle_block)  # type: ignore[assignment]
    return net


WRAPPED = {
    "compiled": torch.compile,
    "DDP": FakeDDP,
    "DataParallel": nn.DataParallel,
    "compiled DDP": lambda net: torch.compile(FakeDDP(net)),
    "compiled in DDP": lambda net: FakeDDP(torch.compile(net)),
    "a part compiled": _partly_compiled,
}


@pytest.mark.parametrize("layout", ["ldm", "diffusers", "difference"])
@pytest.mark.parametrize("wrapper", WRAPPED)
def test_a_wrapped_net_is_saved_as_the_net(tmp_path: Path, wrapper: str, layout: str) -> None:
    net, base = small_net(), small_unet() if layout == "difference" else None
    cn.save_controlnet(net, tmp_path / "plain.safetensors", layout=layout, base=base)  # type: ignore[arg-type]
    cn.save_controlnet(WRAPPED[wrapper](net), tmp_path / "x.safetensors", layout=layout, base=base)  # type: ignore
    assert (tmp_path / "x.safetensors").read_bytes() == (
        tmp_path / "plain.safetensors"
    ).read_bytes()


def test_what_is_no_controlnet_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="`net` is a UNet"):
        cn.save_controlnet(small_unet(), tmp_path / "x.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_compiled_base_gives_the_same_difference(tmp_path: Path) -> None:
    for name, base in (("a", small_unet()), ("b", torch.compile(small_unet()))):
        cn.save_controlnet(small_net(), tmp_path / name, layout="difference", base=base)  # type: ignore
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def offload():
    return pytest.importorskip("accelerate").cpu_offload


def test_a_net_that_accelerate_offloads_works_and_is_saved(tmp_path: Path, offload) -> None:
    x, timesteps, context = call_inputs()
    unet = small_unet()
    with torch.no_grad(), cn.patch_unet(unet, cn.ControlUnit(small_net(), random_hint())):
        expected = unet(x, timesteps, context)
    net = offload(small_net(), execution_device=torch.device("cpu"))
    assert next(net.parameters()).is_meta
    with torch.no_grad(), cn.patch_unet(unet, cn.ControlUnit(net, random_hint())):
        assert torch.equal(unet(x, timesteps, context), expected)
    assert next(net.parameters()).is_meta
    cn.save_controlnet(net, tmp_path / "x.safetensors")
    check(tmp_path / "x.safetensors")


def test_a_union_that_accelerate_offloads_is_refused(tmp_path: Path, offload) -> None:
    union = randomise_(UnionControlNet(SMALL, num_types=8), 1)
    offload(union, execution_device=torch.device("cpu"))
    unet, unit = small_unet(), cn.ControlUnit(union, random_hint(), control_types=["canny"])
    with (
        cn.patch_unet(unet, unit),
        pytest.raises(ValueError, match="a Union ControlNet cannot be offloaded"),
    ):
        unet(*call_inputs())
    with pytest.raises(ValueError, match="a Union ControlNet cannot be offloaded"):
        cn.save_controlnet(union, tmp_path / "x.safetensors")


def test_an_empty_net_is_refused(tmp_path: Path) -> None:
    with torch.device("meta"):
        net = cn.ControlNet(SMALL)
    with pytest.raises(ValueError, match="is on the meta device"):
        cn.save_controlnet(net, tmp_path / "x.safetensors")
    unet = small_unet()
    with (
        cn.patch_unet(unet, cn.ControlUnit(net, random_hint())),
        pytest.raises(ValueError, match="is on the meta device"),
    ):
        unet(*call_inputs())
