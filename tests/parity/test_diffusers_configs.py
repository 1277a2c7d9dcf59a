"""A grid of diffusers configs: our nets equal diffusers' own classes, or the config is refused by the field's name."""

import inspect
import json
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_configs import (
    BY_SHAPES,
    EQUAL,
    LINEAR,
    READ,
    REFUSED,
    SD,
    UNET_EQUAL,
    UNET_REFUSED,
    WITHOUT_EFFECT,
)
from fakes import randomise_

import cnet_core as cn
from cnet_core.checkpoints.diffusers_config import COMPUTED
from cnet_core.checkpoints.unet import load_unet

diffusers = pytest.importorskip("diffusers")


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
    model = _net_of(json.dumps(changes))
    model.save_pretrained(folder)
    return model


@cache
def _net_of(changes: str) -> Any:
    return randomise_(diffusers.ControlNetModel(**{**SD, **_tuples(changes)}), seed=5)


def _tuples(changes: str) -> dict[str, Any]:
    """The changes of a JSON text, whose lists are tuples."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(changes).items()}


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
    with pytest.raises(ValueError, match=f"cannot be loaded.*`{name}`"):
        cn.load_controlnet(tmp_path)
    assert name in " ".join(cn.identify(tmp_path).problems)


def _set(folder: Path, name: str, value: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), name: value}))


def saved_unet(folder: Path, changes: dict[str, Any]) -> Any:
    """A random UNet of diffusers, which is written to the folder."""
    model = _unet_of(json.dumps(changes))
    model.save_pretrained(folder)
    return model


@cache
def _unet_of(changes: str) -> Any:
    config = {**SD, **_tuples(changes)}
    blocks = [kind.replace("Down", "Up") for kind in reversed(config["down_block_types"])]
    names = inspect.signature(diffusers.UNet2DConditionModel).parameters
    shape = {k: v for k, v in config.items() if k in names}
    model = diffusers.UNet2DConditionModel(**shape, up_block_types=tuple(blocks), sample_size=4)
    return randomise_(model, seed=6)


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
    with pytest.raises(ValueError, match=f"cannot be loaded.*`{name}`"):
        load_unet(tmp_path)
    saved_net(tmp_path / "net", {})
    net = cn.load_controlnet(tmp_path / "net")
    with pytest.raises(ValueError, match=f"cannot be used.*`{name}`"):
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
