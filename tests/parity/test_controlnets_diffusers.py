"""Our residuals against diffusers' ControlNetModel and ControlNetUnionModel: random weights, one input, float32."""

from pathlib import Path

import pytest
import torch
from fakes import randomise_
from torch import nn

import cnet_core as cn

diffusers = pytest.importorskip("diffusers")

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
NARROW = {"norm_num_groups": 32, "conditioning_embedding_out_channels": (16, 32, 96, 256)}
XL = {
    **NARROW,
    "block_out_channels": (64, 64, 128),
    "down_block_types": (PLAIN, CROSS, CROSS),
    "transformer_layers_per_block": (1, 2, 3),
    "attention_head_dim": (1, 1, 2),
    "cross_attention_dim": 48,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 16 + 6 * 256,
}
SD = {**NARROW, "block_out_channels": (64, 64, 128, 128), "cross_attention_dim": 48}
CONFIGS = {
    "SD1.5": {**SD, "attention_head_dim": 8},
    "SD2.1": {**SD, "attention_head_dim": (1, 1, 2, 2), "use_linear_projection": True},
    "SDXL full": XL,
    "SDXL mid": {
        **XL,
        "down_block_types": (PLAIN, PLAIN, CROSS),
        "transformer_layers_per_block": (1, 1, 1),
    },
    "SDXL small": {
        **XL,
        "down_block_types": (PLAIN, PLAIN, PLAIN),
        "transformer_layers_per_block": (0, 0, 0),
        "cross_attention_dim": 2048,  # no layer shows it; SDXL's is assumed
    },
    "9 latent, 5 hint channels": {**SD, "in_channels": 9, "conditioning_channels": 5},
    "pooled": {**SD, "global_pool_conditions": True},
}


def inputs(config: dict, rows: int = 2) -> dict[str, torch.Tensor]:
    """Latents, timesteps, text and y; every row different."""
    noise = torch.Generator().manual_seed(7)
    found = {
        "x": torch.randn(rows, config.get("in_channels", 4), 8, 8, generator=noise),
        "timesteps": torch.tensor([801.0, 17.0, 400.0][:rows]),
        "context": torch.randn(rows, 5, 48, generator=noise),
    }
    if "addition_embed_type" in config:
        found["text"] = torch.randn(rows, 16, generator=noise)
        found["ids"] = torch.randn(rows, 6, generator=noise)
    return found


def hints(config: dict, count: int = 1, seed: int = 8) -> tuple[torch.Tensor, ...]:
    noise = torch.Generator().manual_seed(seed)
    channels = config.get("conditioning_channels", 3)
    return tuple(torch.rand(1, channels, 64, 64, generator=noise) for _ in range(count))


def theirs(
    model: nn.Module, given: dict[str, torch.Tensor], hint: object, **more: object
) -> cn.Residuals:
    """diffusers' residuals."""
    added = {"text_embeds": given["text"], "time_ids": given["ids"]} if "text" in given else None
    x, t, c = given["x"], given["timesteps"], given["context"]
    skips, middle = model(x, t, c, hint, added_cond_kwargs=added, return_dict=False, **more)
    return cn.Residuals(tuple(skips), middle)


def ours(
    net: cn.ControlNet, given: dict[str, torch.Tensor], hint: object, **more: object
) -> cn.Residuals:
    """Our residuals; y as SDXL's pipelines make it: pooled text, then the embedded sizes."""
    y = None
    if "text" in given:
        sizes = diffusers.models.embeddings.get_timestep_embedding(
            given["ids"].flatten(), 256, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        y = torch.cat([given["text"], sizes.reshape(len(given["text"]), -1)], dim=1)
    return net(given["x"], hint, given["timesteps"], given["context"], y, **more)


def largest_difference(a: cn.Residuals, b: cn.Residuals) -> float:
    """The largest relative difference of a block."""
    return max(
        float((p - q).abs().max() / q.abs().max()) for p, q in zip(a.blocks, b.blocks, strict=True)
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_residuals_equal_controlnetmodels(tmp_path: Path, name: str) -> None:
    config = CONFIGS[name]
    model = randomise_(diffusers.ControlNetModel(**config), seed=5)
    model.save_pretrained(tmp_path / "theirs")
    net = cn.load_controlnet(tmp_path / "theirs")
    given, (hint,) = inputs(config), hints(config)
    with torch.no_grad():
        found = ours(net, given, hint)
        expected = theirs(model, given, hint.expand(2, -1, -1, -1))
    assert largest_difference(found, expected) < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_from_pretrained_loads_what_we_save_bit_for_bit(tmp_path: Path, name: str) -> None:
    model = randomise_(diffusers.ControlNetModel(**CONFIGS[name]), seed=5)
    model.save_pretrained(tmp_path / "theirs")
    net = cn.load_controlnet(tmp_path / "theirs")
    cn.save_controlnet(net, tmp_path / "ours", layout="diffusers")
    back, report = diffusers.ControlNetModel.from_pretrained(
        tmp_path / "ours", output_loading_info=True, low_cpu_mem_usage=False
    )
    assert not any(report.values()), report
    assert all(torch.equal(v, back.state_dict()[k]) for k, v in model.state_dict().items())
    for name in (
        "attention_head_dim",
        "cross_attention_dim",
        "global_pool_conditions",
        "in_channels",
    ):
        assert list_of(back.config[name]) == list_of(model.config[name])


def list_of(value: object) -> object:
    """JSON has no tuples."""
    return list(value) if isinstance(value, tuple) else value


def test_from_single_file_loads_our_ldm_layout(tmp_path: Path) -> None:
    config = {**CONFIGS["SD1.5"], "attention_head_dim": 8}
    model = randomise_(diffusers.ControlNetModel(**config), seed=5)
    model.save_pretrained(tmp_path / "theirs")
    cn.save_controlnet(cn.load_controlnet(tmp_path / "theirs"), tmp_path / "net.safetensors")
    back = diffusers.ControlNetModel.from_single_file(
        str(tmp_path / "net.safetensors"), config=str(tmp_path / "theirs"), local_files_only=True
    )
    assert all(torch.equal(v, back.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.fixture(scope="module")
def union(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, cn.ControlNet]:
    """A Union of eight types in diffusers and as we load it."""
    folder = tmp_path_factory.mktemp("union")
    config = {**XL, "num_control_type": 8, "num_trans_channel": 64, "num_proj_channel": 64}
    model = randomise_(diffusers.ControlNetUnionModel(**config), seed=5)
    model.save_pretrained(folder)
    return model, cn.load_controlnet(folder)


TYPES = {"one": ["canny"], "three": ["openpose", "depth", "repaint"]}
INDICES = {"one": [3], "three": [0, 1, 7]}


def union_theirs(
    model: nn.Module, given: dict[str, torch.Tensor], pictures: tuple[torch.Tensor, ...], which: str
) -> cn.Residuals:
    rows = len(given["x"])
    switches = torch.zeros(rows, 8)
    switches[:, INDICES[which]] = 1
    hint = [picture.expand(rows, -1, -1, -1) for picture in pictures]
    return theirs(model, given, hint, control_type=switches, control_type_idx=INDICES[which])


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("which", TYPES)
def test_residuals_equal_controlnetunionmodels(union, which: str, rows: int) -> None:
    model, net = union
    pictures = hints(XL, len(TYPES[which]))
    given = inputs(XL, rows)
    with torch.no_grad():
        found = ours(net, given, pictures, control_types=TYPES[which])
        expected = union_theirs(model, given, pictures, which)
    assert largest_difference(found, expected) < 1e-5


def test_the_released_unions_latents_token_reaches_no_hint(union) -> None:
    """The fact that UnionControlNet builds on: in one row, a hint's shift does not depend on the latents."""
    model, _ = union
    block, seen = model.spatial_ch_projs, []
    handle = block.register_forward_hook(lambda m, args, out: seen.append(out))
    given = inputs(XL, 1)
    for factor in (1, 100):
        union_theirs(model, {**given, "x": given["x"] * factor}, hints(XL, 3), "three")
    handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(seen[:3], seen[3:], strict=True))


def test_a_saved_union_loads_in_diffusers(tmp_path: Path, union) -> None:
    model, net = union
    cn.save_controlnet(net, tmp_path / "ours", layout="diffusers")
    back = diffusers.ControlNetUnionModel.from_pretrained(
        tmp_path / "ours", low_cpu_mem_usage=False
    )
    assert all(torch.equal(v, back.state_dict()[k]) for k, v in model.state_dict().items())
