"""identify(): published files are known by their shapes; other files are named; headers alone are read."""

import json

import pytest
import torch
from fakes import small_net
from files import read_published, write_hollow_file, write_raw_file
from known_files import FOREIGN, PUBLISHED

import cnet_core as cn


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_files_are_known_by_their_shapes(tmp_path, name) -> None:
    found = cn.identify(write_hollow_file(tmp_path / "x.safetensors", read_published(name)))
    format, family, blocks, millions, types = PUBLISHED[name]
    assert (found.format, found.family, len(found.blocks), found.control_types) == (
        format,
        family,
        blocks,
        types,
    )
    assert round(found.parameters / 1e6, 1) == millions
    assert (found.hint_channels, found.latent_channels) == (3, 4)
    assert found.loads, found.problems


@pytest.mark.parametrize("what", FOREIGN)
def test_other_files_are_named_and_not_loaded(tmp_path, what) -> None:
    path = write_hollow_file(tmp_path / "x.safetensors", {key: [4, 4] for key in FOREIGN[what]})
    found = cn.identify(path)
    assert what.strip() in found.what
    assert not found.loads
    with pytest.raises(ValueError, match=r"not a ControlNet for a Stable Diffusion UNet; .*\.$"):
        cn.load_controlnet(path)


@pytest.mark.parametrize(
    "what",
    [
        *("T2I-Adapter", "Flux ControlNet", "Qwen-Image ControlNet", "Qwen-Image Fun ControlNet"),
        *("SD3 ControlNet", "SD3.5 ControlNet", "HunyuanDiT ControlNet"),
    ],
)
def test_what_the_node_takes_is_said_with_the_node(tmp_path, what) -> None:
    path = write_hollow_file(tmp_path / "x.safetensors", {key: [4, 4] for key in FOREIGN[what]})
    assert "connect it to Apply ControlNet (to the model)" in str(cn.identify(path))


def test_channels_of_blocks_hint_and_latents_are_read_off(tmp_path) -> None:
    shapes = read_published("sd15_v11")
    shapes["control_model.input_blocks.0.0.weight"][1] = 9
    shapes["control_model.input_hint_block.0.weight"][1] = 5
    found = cn.identify(write_hollow_file(tmp_path / "x.safetensors", shapes))
    assert (found.latent_channels, found.hint_channels) == (9, 5)
    assert found.blocks == (320,) * 4 + (640,) * 3 + (1280,) * 6
    assert found.loads


def test_a_pruned_sdxl_is_understood(tmp_path) -> None:
    """SSD-1B: depths (0, 0), (2, 2), (4, 4) with one residual block in the middle."""
    gone = [
        (f"input_blocks.{block}.1.transformer_blocks.{k}.")
        for block in (7, 8)
        for k in range(4, 10)
    ] + ["middle_block.1.", "middle_block.2."]
    shapes = {
        key: shape
        for key, shape in read_published("control_lora_128").items()
        if not key.startswith(tuple(gone))
    }
    found = cn.identify(write_hollow_file(tmp_path / "x.safetensors", shapes))
    assert found.config is not None
    assert found.config.depths == ((0, 0), (2, 2), (4, 4))
    assert found.config.middle_depth == -1
    assert found.family == "SDXL, pruned (like SSD-1B)"


def test_a_missing_an_extra_and_a_swapped_layer_are_problems(tmp_path) -> None:
    shapes = read_published("sd15_v11")
    shapes["control_model.extra.weight"] = [3]
    del shapes["control_model.zero_convs.3.0.weight"]
    shapes["control_model.middle_block_out.0.weight"] = [640, 640, 1, 1]
    found = cn.identify(write_hollow_file(tmp_path / "x.safetensors", shapes))
    assert not found.loads
    assert "zero_convs.3.0.weight" in found.problems[0]
    assert "extra.weight" in found.problems[1]
    assert "middle_block_out.0.weight" in found.problems[2]


@pytest.mark.parametrize("first", [0x80, ord("<"), ord("P"), ord("G")])
def test_the_length_of_the_header_is_not_taken_for_another_format(tmp_path, first) -> None:
    """A safetensors file begins with that length, whose first byte may be a pickle's or a page's."""
    header = json.dumps({"emb_params": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
    padded = header + " " * ((first - len(header)) % 256)
    path = write_raw_file(tmp_path / "x.safetensors", padded.encode(), 8)
    assert path.read_bytes()[0] == first
    assert cn.identify(path).what == "a textual inversion embedding"


def test_a_report_is_plain_json(tmp_path) -> None:
    cn.save_controlnet(small_net(), tmp_path / "net.safetensors")
    found = json.loads(json.dumps(cn.identify(tmp_path / "net.safetensors").to_dict()))
    assert found["loads"] is True
    assert found["blocks"] == [32] * 7 + [64] * 6
    assert found["dtypes"] == ["float32"]


def test_a_deep_look_finds_nan_and_silent_convs(tmp_path) -> None:
    net = small_net()
    with torch.no_grad():
        net.input_blocks[0][0].weight[0, 0, 0, 0] = float("nan")
        net.zero_convs[2][0].weight.zero_()
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    assert cn.identify(tmp_path / "net.safetensors").loads
    deep = cn.identify(tmp_path / "net.safetensors", deep=True)
    assert "1 tensors (input_blocks.0.0.weight) hold NaN" in deep.problems[0]
    assert "zero_convs.2.0.weight" in deep.notes[0]


def test_a_deep_look_tells_an_untrained_net_and_denormals(tmp_path) -> None:
    net = cn.ControlNet.from_unet(cn.UNet(small_net().config))
    with torch.no_grad():
        net.middle_block[0].in_layers[2].weight.fill_(1e-40)
    cn.save_controlnet(net, tmp_path / "net.safetensors")
    notes = cn.identify(tmp_path / "net.safetensors", deep=True).notes
    assert "untrained" in notes[0]
    assert "1 tensors (middle_block.0.in_layers.2.weight) hold denormal" in notes[1]
