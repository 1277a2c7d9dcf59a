"""Every layout and container: what was saved comes back, bit for bit where nothing is computed."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from fakes import SMALL, call_inputs, random_hint, randomise_, small_net, small_unet
from files import equal_weights, read_published
from safetensors.torch import load_file, save_file

import cnet_core as cn
from cnet_core.checkpoints.diffusers_names import from_ldm, to_ldm
from cnet_core.checkpoints.formats import LAYOUTS
from cnet_core.checkpoints.structure import Structure

#: Layers that are made on torch's default device, as a host's are.
HOST_OPS = SimpleNamespace(
    **{name: getattr(torch.nn, name) for name in ("Linear", "Conv2d", "GroupNorm", "LayerNorm")}
)


def without_metadata(path: Path, prefix: str = "") -> Path:
    """The file's tensors as other programs write them, without our config."""
    tensors = load_file(path)
    renamed = {prefix + k.removeprefix("control_model."): v.clone() for k, v in tensors.items()}
    save_file(renamed, path)
    return path


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn]
)
@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
def test_a_saved_net_comes_back_bit_for_bit(tmp_path, layout, dtype) -> None:
    net = small_net().to(dtype)
    cn.save_controlnet(net, tmp_path / "x.safetensors", layout=layout)
    back = cn.load_controlnet(tmp_path / "x.safetensors")
    assert back.config == SMALL
    assert equal_weights(back.state_dict(), net.state_dict())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_the_name_of_the_format_that_it_writes(tmp_path, layout) -> None:
    base = small_unet() if layout == "difference" else None
    cn.save_controlnet(small_net(), tmp_path / "x.safetensors", layout=layout, base=base)
    assert cn.identify(tmp_path / "x.safetensors").format == layout


def test_files_of_ours_are_read_by_safetensors(tmp_path) -> None:
    net = small_net().half()
    cn.save_controlnet(net, tmp_path / "x.safetensors")
    found = {
        k.removeprefix("control_model."): v
        for k, v in load_file(tmp_path / "x.safetensors").items()
    }
    assert equal_weights(found, net.state_dict())


def test_a_folder_holds_config_and_weights(tmp_path) -> None:
    net = cn.ControlNet(SMALL, hint_channels=5, pooled=True)
    randomise_(net, 1)
    cn.save_controlnet(net, tmp_path / "folder", layout="diffusers")
    config = json.loads((tmp_path / "folder" / "config.json").read_text())
    assert (config["conditioning_channels"], config["global_pool_conditions"]) == (5, True)
    back = cn.load_controlnet(tmp_path / "folder")
    assert (back.hint_channels, back.pooled) == (5, True)
    assert equal_weights(back.state_dict(), net.state_dict())


@pytest.mark.parametrize("prefix", ["", "control_model."])
def test_a_file_without_our_metadata_loads_by_its_shapes(tmp_path, prefix) -> None:
    """Heads are then those of SD1.x: 8, as SD15 has."""
    net = randomise_(cn.ControlNet(cn.UNetConfig(model_channels=32, context_dim=16)), 1)
    cn.save_controlnet(net, tmp_path / "x.safetensors")
    back = cn.load_controlnet(without_metadata(tmp_path / "x.safetensors", prefix))
    assert back.config == net.config
    assert equal_weights(back.state_dict(), net.state_dict())


PRUNED = {
    "SSD-1B-like": cn.UNetConfig(
        model_channels=64,
        channel_mult=(1, 2, 4),
        transformer_depth=(0, 2, (1, 4)),
        middle_depth=-1,
        context_dim=2048,
        num_heads=None,
        head_dim=64,
        linear_proj=True,
        y_dim=2816,
    ),
    "KOALA-like": cn.UNetConfig(
        model_channels=64,
        channel_mult=(1, 2, 4),
        num_res_blocks=(1, 2, 1),
        transformer_depth=(0, (1, 3), 5),
        middle_depth=5,
        num_heads=None,
        head_dim=64,
        linear_proj=True,
    ),
    "9 latent channels": cn.UNetConfig(in_channels=9, model_channels=32),
    "refiner-like": cn.UNetConfig(
        model_channels=64,
        transformer_depth=(0, 4, 4, 0),
        middle_depth=4,
        context_dim=1280,
        num_heads=None,
        head_dim=64,
        linear_proj=True,
        y_dim=2560,
    ),
}


@pytest.mark.parametrize("name", PRUNED)
def test_unusual_shapes_load_by_their_shapes(tmp_path, name) -> None:
    with torch.device("meta"):
        net = cn.ControlNet(PRUNED[name])
    cn.save_controlnet(net.to_empty(device="cpu").half(), tmp_path / "x.safetensors")
    back = cn.load_controlnet(without_metadata(tmp_path / "x.safetensors"))
    assert back.config == PRUNED[name]
    assert cn.UNetConfig.from_dict(json.loads(json.dumps(back.config.to_dict()))) == back.config


def test_a_full_checkpoint_gives_its_controlnet(tmp_path) -> None:
    net, unet = small_net(), small_unet()
    full = {f"control_model.{k}": v for k, v in net.state_dict().items()}
    full |= {f"model.diffusion_model.{k}": v for k, v in unet.state_dict().items()}
    full["first_stage_model.encoder.conv_in.weight"] = torch.zeros(2)
    save_file(full, tmp_path / "x.safetensors")
    assert cn.identify(tmp_path / "x.safetensors").format == "full ldm checkpoint"
    back = cn.load_controlnet(tmp_path / "x.safetensors")
    assert equal_weights(back.state_dict(), net.state_dict())


@pytest.mark.parametrize("name", ["x.pth", "x.ckpt", "x.bin"])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("wrapped", [True, False])
def test_pytorch_files_load(tmp_path, name, zipped, wrapped) -> None:
    weights = {f"control_model.{k}": v for k, v in small_net().state_dict().items()}
    value = {"state_dict": weights, "global_step": 3} if wrapped else weights
    torch.save(value, tmp_path / name, _use_new_zipfile_serialization=zipped)
    back = cn.load_controlnet(tmp_path / name)
    assert equal_weights(back.state_dict(), small_net().state_dict())
    assert cn.identify(tmp_path / name).loads


def test_fp8_and_mixed_dtypes_compute(tmp_path) -> None:
    net = small_net()
    cn.save_controlnet(net.to(torch.float8_e4m3fn), tmp_path / "x.safetensors")
    back = cn.load_controlnet(tmp_path / "x.safetensors")
    wide = cn.load_controlnet(tmp_path / "x.safetensors", dtype=torch.float32)
    assert next(back.parameters()).dtype == torch.float8_e4m3fn
    x, timesteps, context = call_inputs()
    unit = cn.ControlUnit(back, random_hint())
    unet = small_unet()
    with torch.no_grad():
        with cn.patch_unet(unet, unit):
            found = unet(x, timesteps, context)
        with cn.patch_unet(unet, cn.ControlUnit(wide, random_hint())):
            assert torch.equal(unet(x, timesteps, context), found)
        back.middle_block.half()
        assert back(x, random_hint(), timesteps, context).middle is not None


def test_weights_stay_in_the_files_memory_map(tmp_path) -> None:
    """Copies of their own would lie apart."""
    path = tmp_path / "x.safetensors"
    cn.save_controlnet(small_net(), path)
    places = [p.data_ptr() for p in cn.load_controlnet(path).parameters()]
    assert max(places) - min(places) < path.stat().st_size


@pytest.mark.parametrize("ops", [torch.nn, HOST_OPS], ids=["torch's", "a host's"])
@pytest.mark.parametrize("types", [0, 8], ids=["one type", "Union"])
def test_the_structure_takes_no_memory(ops, types: int) -> None:
    net = Structure(SMALL, 3, types).build(ops)
    assert all(p.is_meta for p in net.parameters())


def test_loading_keeps_the_random_state(tmp_path) -> None:
    cn.save_controlnet(small_net(), tmp_path / "x.safetensors")
    before = torch.get_rng_state()
    cn.load_controlnet(tmp_path / "x.safetensors")
    assert torch.equal(torch.get_rng_state(), before)


def test_pooled_nets_give_the_mean_everywhere(tmp_path) -> None:
    cn.save_controlnet(small_net(), tmp_path / "x.safetensors")
    plain = cn.load_controlnet(tmp_path / "x.safetensors")
    pooled = cn.load_controlnet(tmp_path / "x.safetensors", pooled=True)
    x, timesteps, context = call_inputs()
    with torch.no_grad():
        want = plain(x, random_hint(), timesteps, context).skips[0]
        have = pooled(x, random_hint(), timesteps, context).skips[0]
    assert want is not None
    assert have is not None
    assert have.shape == want.shape
    assert torch.equal(have[:, :, 3, 5], want.mean((2, 3)))
    cn.save_controlnet(pooled, tmp_path / "pooled.safetensors")
    assert cn.load_controlnet(tmp_path / "pooled.safetensors").pooled


@pytest.mark.parametrize(
    "name", ["sd21_diffusers", "sdxl_full", "sdxl_mid", "sdxl_small", "sdxl_union_8"]
)
def test_renaming_there_and_back_is_the_identity(tmp_path, name) -> None:
    keys = read_published(name).keys()
    names = to_ldm(keys)
    assert len(set(names.values())) == len(keys)
    config = {"sd21_diffusers": cn.SD21}.get(name, cn.SDXL)
    assert from_ldm(names.values(), config) == {new: old for old, new in names.items()}


def test_diffusers_names_and_shapes_become_ldms() -> None:
    """Two public classes wrote these tables: diffusers' and ldm's."""
    theirs, ldm = read_published("sd21_diffusers"), read_published("sd21")
    found = {f"control_model.{new}": theirs[old] for old, new in to_ldm(theirs).items()}
    assert found == ldm


def test_what_a_layout_cannot_hold_is_refused_before_writing(tmp_path) -> None:
    net = cn.ControlNet(PRUNED["SSD-1B-like"])
    with pytest.raises(ValueError, match="diffusers cannot build"):
        cn.save_controlnet(net, tmp_path / "x", layout="diffusers")
    with pytest.raises(ValueError, match="must be one of ldm, diffusers, difference"):
        cn.save_controlnet(net, tmp_path / "x", layout="other")
    with pytest.raises(ValueError, match="Give `base` with the layout"):
        cn.save_controlnet(net, tmp_path / "x", layout="difference")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("layout", "lines"), [("ldm", 1), ("diffusers", 0)])
def test_a_union_in_a_layout_without_types_for_comfyui_is_logged(
    tmp_path, caplog, layout, lines
) -> None:
    net = cn.UnionControlNet(SMALL, num_types=6)
    cn.save_controlnet(net, tmp_path / "x.safetensors", layout=layout)
    assert caplog.text.count("Choose the layout 'diffusers'") == lines
