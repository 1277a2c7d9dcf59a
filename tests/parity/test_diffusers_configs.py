"""A grid of diffusers configs: our nets equal diffusers' own classes, or the config is refused by the field's name."""

import inspect
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from fakes import randomise_

import cnet_core as cn
from cnet_core.checkpoints.diffusers_config import COMPUTED
from cnet_core.checkpoints.unet import load_unet

diffusers = pytest.importorskip("diffusers")

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
SD = {
    "block_out_channels": (32, 64, 64, 128),
    "down_block_types": (CROSS, CROSS, CROSS, PLAIN),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "attention_head_dim": 8,
}
LINEAR = {"use_linear_projection": True}
XL = {
    **LINEAR,
    "block_out_channels": (32, 64, 128),
    "down_block_types": (PLAIN, CROSS, CROSS),
    "transformer_layers_per_block": (1, 1, 2),
    "layers_per_block": 1,
    "cross_attention_dim": 24,
    "attention_head_dim": (1, 2, 4),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 16 + 6 * 8,
}
UPS = {
    "up_block_types": ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
    "sample_size": 8,
}

#: What changes in SD's config, and computes here as there.
EQUAL: dict[str, dict[str, Any]] = {
    "one number": {},
    "one head": {"attention_head_dim": 1},
    "32 heads": {"attention_head_dim": 32},
    "16 heads, linear": {"attention_head_dim": 16, **LINEAR},
    "heads that fall": {"attention_head_dim": (8, 4, 2, 2)},
    "heads that rise and fall": {"attention_head_dim": (4, 8, 8, 4)},
    "heads that rise too fast": {"attention_head_dim": (1, 4, 16, 32)},
    "heads of one width": {"attention_head_dim": (1, 2, 2, 4)},
    "heads of half that width": {"attention_head_dim": (2, 4, 4, 8)},
    "heads of one width but in the middle": {"attention_head_dim": (1, 2, 2, 8)},
    "the same heads by level": {"attention_head_dim": (4, 4, 4, 4)},
    "heads that fall, linear": {"attention_head_dim": (8, 4, 2, 2), **LINEAR},
    "heads of one width, linear": {"attention_head_dim": (1, 2, 2, 4), **LINEAR},
    "num_attention_heads": {"num_attention_heads": 4},
    "num_attention_heads by level": {"num_attention_heads": (8, 2, 4, 1)},
    "both fields, which differ": {"num_attention_heads": (1, 2, 4, 8), "attention_head_dim": 2},
    "deep blocks": {"transformer_layers_per_block": 2},
    "deep blocks by level": {"transformer_layers_per_block": (1, 2, 1, 3)},
    "two layers": {"layers_per_block": 2, "attention_head_dim": (2, 8, 4, 16)},
    "no attention above": {
        "down_block_types": (PLAIN, PLAIN, CROSS, PLAIN),
        "attention_head_dim": (32, 1, 8, 4),
    },
    "attention everywhere": {
        "down_block_types": (CROSS,) * 4,
        "attention_head_dim": (1, 8, 2, 16),
    },
    "two levels": {
        "block_out_channels": (32, 64),
        "down_block_types": (CROSS, PLAIN),
        "attention_head_dim": (2, 8),
    },
    "upcast attention": {"upcast_attention": True},
    "swish": {"act_fn": "swish"},
    "BGR": {"controlnet_conditioning_channel_order": "bgr"},
    "BGR of five channels": {
        "controlnet_conditioning_channel_order": "bgr",
        "conditioning_channels": 5,
    },
    "one hint channel": {"conditioning_channels": 1},
    "pooled": {"global_pool_conditions": True},
    "pooled BGR, heads by level": {
        "global_pool_conditions": True,
        "controlnet_conditioning_channel_order": "bgr",
        "attention_head_dim": (8, 4, 2, 2),
    },
    "nine latent channels": {"in_channels": 9},
    "SDXL": XL,
    "SDXL, heads by level": {**XL, "attention_head_dim": (1, 8, 2)},
    "SDXL, one number": {**XL, "attention_head_dim": 4},
    "SDXL, num_attention_heads": {**XL, "num_attention_heads": (1, 4, 16)},
    "SDXL, BGR": {**XL, "controlnet_conditioning_channel_order": "bgr"},
    "middle of one residual block": {
        "mid_block_type": "UNetMidBlock2D",
        "attention_head_dim": (8, 4, 2, 2),
    },
}
#: What is refused: the field, and its value.
REFUSED: dict[str, Any] = {
    "act_fn": "gelu",
    "addition_embed_type": "text",
    "attention_head_dim": (8, 8),
    "class_embed_type": "identity",
    "conditioning_embedding_out_channels": (16, 32, 64, 256),
    "controlnet_conditioning_channel_order": "gbr",
    "down_block_types": ("SimpleCrossAttnDownBlock2D", CROSS, CROSS, PLAIN),
    "downsample_padding": 0,
    "encoder_hid_dim": 12,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "mid_block_scale_factor": 2.0,
    "norm_eps": 1e-3,
    "norm_num_groups": 16,
    "num_class_embeds": 3,
    "only_cross_attention": (False, True, False, False),
    "resnet_time_scale_shift": "scale_shift",
}
#: The same for UNets, beyond what both classes have.
UNET_REFUSED: dict[str, Any] = {
    "attention_type": "gated",
    "center_input_sample": True,
    "class_embeddings_concat": True,
    "conv_in_kernel": 5,
    "conv_out_kernel": 1,
    "cross_attention_norm": "layer_norm",
    "dual_cross_attention": True,
    "mid_block_only_cross_attention": True,
    "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    "resnet_out_scale_factor": 1.4,
    "resnet_skip_time_act": True,
    "time_cond_proj_dim": 16,
    "time_embedding_act_fn": "silu",
    "time_embedding_type": "fourier",
    "timestep_post_act": "silu",
    "up_block_types": ("UpBlock2D", *("SimpleCrossAttnUpBlock2D",) * 3),
}
UNET_EQUAL = (
    *("one number", "heads that fall", "heads that rise and fall", "heads of one width"),
    *("heads that fall, linear", "deep blocks", "two layers", "upcast attention", "SDXL"),
    *("SDXL, heads by level", "heads of one width but in the middle", "attention everywhere"),
)
#: Fields that shapes tell, and those without a say in the result.
BY_SHAPES = {
    *("in_channels", "out_channels", "conditioning_channels", "block_out_channels"),
    *("layers_per_block", "cross_attention_dim", "transformer_layers_per_block"),
    *("reverse_transformer_layers_per_block", "use_linear_projection", "time_embedding_dim"),
    *("projection_class_embeddings_input_dim", "addition_time_embed_dim", "num_control_type"),
    *("num_trans_channel", "num_trans_layer", "num_proj_channel"),
}
#: upcast_attention has no part in the attention that diffusers uses with torch 2; a Union's token sees itself alone.
WITHOUT_EFFECT = {
    *("sample_size", "dropout", "upcast_attention", "addition_embed_type_num_heads"),
    "num_trans_head",
}
READ = {"attention_head_dim", "num_attention_heads", "global_pool_conditions"}


def inputs(config: dict[str, Any]) -> dict[str, Any]:
    """Latents, timesteps, text and SDXL's numbers; every row different."""
    noise = torch.Generator().manual_seed(7)
    channels = config.get("in_channels", 4)
    given: dict[str, Any] = {
        "sample": torch.randn(2, channels, 4, 4, generator=noise),
        "timestep": torch.tensor([801, 17]),
        "encoder_hidden_states": torch.randn(2, 5, 24, generator=noise),
    }
    if "addition_embed_type" in config:
        text, ids = torch.randn(2, 16, generator=noise), torch.rand(2, 6, generator=noise) * 64
        given["added_cond_kwargs"] = {"text_embeds": text, "time_ids": ids}
    return given


def as_ours(given: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Timesteps, text and y as our nets take them."""
    y = None
    if "added_cond_kwargs" in given:
        text, ids = (given["added_cond_kwargs"][k] for k in ("text_embeds", "time_ids"))
        numbers = diffusers.models.embeddings.get_timestep_embedding(
            ids.flatten(), 8, flip_sin_to_cos=True, downscale_freq_shift=0
        )
        y = torch.cat([text, numbers.reshape(len(text), -1)], dim=1)
    return given["timestep"], given["encoder_hidden_states"], y


def picture(config: dict[str, Any]) -> torch.Tensor:
    noise = torch.Generator().manual_seed(8)
    return torch.rand(2, config.get("conditioning_channels", 3), 32, 32, generator=noise)


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return float((found - expected).abs().max() / expected.abs().max())


def saved_net(folder: Path, changes: dict[str, Any]) -> Any:
    """A random ControlNet of diffusers, which is written to the folder."""
    model = randomise_(diffusers.ControlNetModel(**{**SD, **changes}), seed=5)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("changes", EQUAL.values(), ids=EQUAL)
def test_residuals_equal_diffusers(tmp_path: Path, changes: dict[str, Any]) -> None:
    model = saved_net(tmp_path, changes)
    net, given = cn.load_controlnet(tmp_path), inputs(changes)
    with torch.no_grad():
        skips, middle = model(**given, controlnet_cond=picture(changes), return_dict=False)
        found = net(given["sample"], picture(changes), *as_ours(given))
    assert cn.identify(tmp_path).loads
    assert all(difference(a, b) < 1e-5 for a, b in zip(found.blocks, (*skips, middle), strict=True))


@pytest.mark.parametrize("changes", EQUAL.values(), ids=EQUAL)
def test_what_we_save_computes_the_same_in_diffusers(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """Also where the channel order is another one: then the weights are turned round."""
    model, given = saved_net(tmp_path / "theirs", changes), inputs(changes)
    if "addition_embed_type" in changes:
        pytest.skip("our config.json has SDXL's width of the numbers alone")
    net = cn.load_controlnet(tmp_path / "theirs")
    cn.save_controlnet(net, tmp_path / "ours", layout="diffusers")
    back = diffusers.ControlNetModel.from_pretrained(tmp_path / "ours", low_cpu_mem_usage=False)
    with torch.no_grad():
        skips, middle = model(**given, controlnet_cond=picture(changes), return_dict=False)
        again, end = back(**given, controlnet_cond=picture(changes), return_dict=False)
    pairs = zip((*again, end), (*skips, middle), strict=True)
    assert all(difference(a, b) < 1e-5 for a, b in pairs)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_computed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    saved_net(tmp_path, {})
    _set(tmp_path, name, REFUSED[name])
    with pytest.raises(ValueError, match=f"is not loaded.*`{name}`"):
        cn.load_controlnet(tmp_path)
    assert name in " ".join(cn.identify(tmp_path).problems)


def _set(folder: Path, name: str, value: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))


def saved_unet(folder: Path, changes: dict[str, Any]) -> Any:
    """A random UNet of diffusers, which is written to the folder."""
    config = {**SD, **changes}
    blocks = [kind.replace("Down", "Up") for kind in reversed(config["down_block_types"])]
    names = inspect.signature(diffusers.UNet2DConditionModel).parameters
    shape = {k: v for k, v in config.items() if k in names}
    model = diffusers.UNet2DConditionModel(**shape, up_block_types=tuple(blocks), sample_size=4)
    randomise_(model, seed=6).save_pretrained(folder)
    return model


@pytest.mark.parametrize("name", UNET_EQUAL)
def test_a_base_predicts_as_diffusers_does(tmp_path: Path, name: str) -> None:
    model, given = saved_unet(tmp_path / "unet", EQUAL[name]), inputs(EQUAL[name])
    with torch.no_grad():
        expected = model(**given).sample
        assert difference(load_unet(tmp_path)(given["sample"], *as_ours(given)), expected) < 1e-5
        file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
        assert difference(load_unet(file)(given["sample"], *as_ours(given)), expected) < 1e-5


@pytest.mark.parametrize("name", {**UNET_REFUSED, "norm_eps": 1e-3, "freq_shift": 1})
def test_a_base_that_is_not_computed_is_refused_by_name(tmp_path: Path, name: str) -> None:
    saved_unet(tmp_path / "unet", {})
    _set(tmp_path / "unet", name, {**REFUSED, **UNET_REFUSED}[name])
    with pytest.raises(ValueError, match=f"is not loaded.*`{name}`"):
        load_unet(tmp_path)
    saved_net(tmp_path / "net", {})
    net = cn.load_controlnet(tmp_path / "net")
    with pytest.raises(ValueError, match=f"is not used.*`{name}`"):
        cn.save_controlnet(net, tmp_path / "d.safetensors", layout="difference", base=tmp_path)


def test_every_field_of_diffusers_classes_is_read_refused_or_told_by_shapes() -> None:
    kinds = ("ControlNetModel", "ControlNetUnionModel", "UNet2DConditionModel")
    fields = {name for k in kinds for name in inspect.signature(getattr(diffusers, k)).parameters}
    assert fields <= {*COMPUTED, *BY_SHAPES, *WITHOUT_EFFECT, *READ}


def test_the_default_number_of_heads_is_diffusers(tmp_path: Path) -> None:
    """Nets with linear projections have heads 64 wide elsewhere, but 8 of them in diffusers' classes."""
    model, given = saved_net(tmp_path, LINEAR), inputs({})
    values = json.loads((tmp_path / "config.json").read_text())
    del values["attention_head_dim"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    with torch.no_grad():
        _, middle = model(**given, controlnet_cond=picture({}), return_dict=False)
        found = cn.load_controlnet(tmp_path)(given["sample"], picture({}), *as_ours(given))
    assert found.middle is not None
    assert difference(found.middle, middle) < 1e-5


BESIDE = {
    "attention_head_dim": (8, 4, 2, 2),
    "global_pool_conditions": True,
    "controlnet_conditioning_channel_order": "bgr",
}


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.safetensors", "any.safetensors"])
def test_the_config_in_a_files_folder_is_read(tmp_path: Path, name: str) -> None:
    model, given = saved_net(tmp_path, BESIDE), inputs({})
    (tmp_path / "diffusion_pytorch_model.safetensors").rename(tmp_path / name)
    net = cn.load_controlnet(tmp_path / name)
    with torch.no_grad():
        skips, middle = model(**given, controlnet_cond=picture({}), return_dict=False)
        found = net(given["sample"], picture({}), *as_ours(given))
    assert all(difference(a, b) < 1e-5 for a, b in zip(found.blocks, (*skips, middle), strict=True))
    said = cn.identify(tmp_path / name)
    assert said.pooled
    assert "config.json in its folder is read" in " ".join(said.notes)


def test_a_config_of_another_model_in_the_folder_is_not_read(tmp_path: Path) -> None:
    saved_net(tmp_path, BESIDE)
    for name, changes in (
        ("other", {}),
        ("wider", {"block_out_channels": (32, 64, 64, 64), "attention_head_dim": 4}),
    ):
        saved_net(tmp_path / name, changes)
        shutil.move(
            tmp_path / name / "diffusion_pytorch_model.safetensors",
            tmp_path / f"{name}.safetensors",
        )
        found = cn.identify(tmp_path / f"{name}.safetensors")
        assert found.loads
        assert not found.pooled
        assert "describes another model and is not read" in " ".join(found.notes)
