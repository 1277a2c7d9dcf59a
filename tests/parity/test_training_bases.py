"""Real bases against diffusers: the same text, the same UNet; `cnet train` on them, and the result in diffusers."""

import copy
import gc
import json
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from diffusers import ControlNetModel
from fakes import SMALL
from picture_folders import pictures
from pretrained_models import SD1_TEXTS, SD2_TEXTS, SDXL_TEXTS, sd15, sd21, sdxl, write_checkpoint
from safetensors.torch import load_file, save_file

import cnet_core as cn
from cnet_core.cli import main
from cnet_core.training.pictures import Cache
from cnet_core.training.pretrained import load_base

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    import diffusers
    import transformers

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()


def test_sd15_reads_texts_and_predicts_as_diffusers_does(tmp_path: Path) -> None:
    theirs = sd15(tmp_path / "base")
    ours = load_base(tmp_path / "base", Cache(tmp_path / "cache"), CPU)
    text = ours.text(["a red star"], 64, 64)
    embeddings = theirs.encode_prompt("a red star", CPU, 1, False)[0]
    torch.testing.assert_close(text.context, embeddings)
    _same_prediction(theirs, ours, text, {})


def test_sdxl_reads_texts_and_predicts_as_diffusers_does(tmp_path: Path) -> None:
    theirs = sdxl(tmp_path / "base")
    ours = load_base(tmp_path / "base", Cache(tmp_path / "cache"), CPU)
    text = ours.text(["a red star"], 48, 64)
    embeddings, _, pooled, _ = theirs.encode_prompt("a red star", None, CPU, 1, False)
    torch.testing.assert_close(text.context, embeddings)
    ids = torch.tensor([[48.0, 64, 0, 0, 48, 64]])
    _same_prediction(theirs, ours, text, {"text_embeds": pooled, "time_ids": ids})


@pytest.mark.parametrize("variant", ["fp16", "bf16"])
@pytest.mark.parametrize("family", [sd15, sdxl], ids=["SD1.5", "SDXL"])
def test_a_folder_of_a_variant_alone_is_the_base_of_the_whole_weights(
    family, variant: str, tmp_path: Path
) -> None:
    """Also sharded, as diffusers writes SDXL's UNet in float32."""
    pipeline = family(tmp_path / "base")
    pipeline.save_pretrained(tmp_path / "variant", variant=variant, max_shard_size="500KB")
    names = [f.name for f in (tmp_path / "variant").glob("*/*model*.safetensors")]
    assert names
    assert all(variant in name for name in names)
    assert any("-of-" in name for name in names)
    one, other = (
        load_base(tmp_path / name, Cache(tmp_path / f"cache {name}"), CPU)
        for name in ("base", "variant")
    )
    weights = other.unet.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in one.unet.state_dict().items())
    texts = [base.text(["a red star"], 64, 64) for base in (one, other)]
    assert torch.equal(texts[0].context, texts[1].context)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one.encode(picture)[0], other.encode(picture)[0])


def test_a_base_in_the_cache_of_hugging_face_is_its_snapshot(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123abc"
    sd15(snapshot)
    (tmp_path / "models--a--b" / "refs").mkdir()
    (tmp_path / "models--a--b" / "refs" / "main").write_text("0123abc")
    bases = [
        load_base(p, Cache(tmp_path / "cache"), CPU) for p in (snapshot, tmp_path / "models--a--b")
    ]
    assert bases[0].name == bases[1].name


def test_latents_are_diffusers_own(tmp_path: Path) -> None:
    theirs = sd15(tmp_path / "base")
    ours = load_base(tmp_path / "base", Cache(tmp_path / "cache"), CPU)
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    expected = theirs.vae.encode(picture * 2 - 1).latent_dist
    mean, std = ours.encode(picture)
    torch.testing.assert_close(mean, expected.mean * 0.18215)
    torch.testing.assert_close(std, expected.std * 0.18215)
    again = theirs.vae.decode(mean / 0.18215).sample / 2 + 0.5
    torch.testing.assert_close(ours.decode(mean), again)


@pytest.mark.parametrize(
    ("family", "texts", "prediction"),
    [
        (sd15, SD1_TEXTS, "epsilon"),
        (sd21, SD2_TEXTS, "v_prediction"),
        (sdxl, SDXL_TEXTS, "epsilon"),
    ],
    ids=["SD1.5", "SD2.1", "SDXL"],
)
def test_a_checkpoint_file_with_configs_is_the_same_base_as_its_folder(
    family, texts, prediction: str, tmp_path: Path
) -> None:
    pipeline = family(tmp_path / "base")
    write_checkpoint(pipeline, tmp_path / "base.safetensors", texts)
    folder = load_base(tmp_path / "base", Cache(tmp_path / "a"), CPU)
    file = load_base(tmp_path / "base.safetensors", Cache(tmp_path / "b"), CPU, tmp_path / "base")
    assert folder.objective.prediction == file.objective.prediction == prediction
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    one, other = (base.text(["a red star"], 64, 64) for base in (folder, file))
    assert torch.equal(one.context, other.context)
    assert one.y is other.y is None or torch.equal(one.y, other.y)
    assert torch.equal(folder.encode(picture)[0], file.encode(picture)[0])
    weights = file.unet.state_dict()
    assert all(torch.equal(weights[k], v) for k, v in folder.unet.state_dict().items())


@pytest.mark.parametrize("family", [sd15, sdxl], ids=["SD1.5", "SDXL"])
def test_encoders_are_freed_once_texts_are_cached(family, tmp_path: Path) -> None:
    family(tmp_path / "base")
    base = load_base(tmp_path / "base", Cache(tmp_path / "cache"), CPU)
    parts = [base.parts.vae.encoder, base.parts.text_encoder]
    alive = [weakref.ref(part) for part in parts]
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    latents = base.encode(picture)[0]
    base.prepare(["a red star"])
    before = base.text(["a red star", ""], 64, 64).context, base.decode(latents)
    base.free_encoders()
    del parts
    gc.collect()
    assert [part() for part in alive] == [None, None]
    assert torch.equal(base.text(["a red star", ""], 64, 64).context, before[0])
    assert torch.equal(base.decode(latents), before[1])
    with pytest.raises(ValueError, match="no text for the prompt 'a blue star'; go on by"):
        base.text(["a blue star"], 64, 64)


def test_a_schedule_that_ends_without_signal_keeps_a_trace_of_it(tmp_path: Path) -> None:
    sd21(tmp_path / "base")
    file = tmp_path / "base" / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "rescale_betas_zero_snr": True}))
    base = load_base(tmp_path / "base", Cache(tmp_path / "cache"), CPU)
    assert float(base.objective.alphas_cumprod.min()) == 2**-24


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_kept_of_a_base_is_not_taken_for_another_at_its_place(
    tmp_path: Path, kind: str
) -> None:
    pipeline, cache = copy.deepcopy(sd15(tmp_path / "base")), Cache(tmp_path / "cache")
    place, config = tmp_path / "base", None
    if kind == "file":
        place, config = tmp_path / "base.safetensors", tmp_path / "base"
        write_checkpoint(pipeline, place, SD1_TEXTS)
    first, again = (load_base(place, cache, CPU, config) for _ in range(2))
    before = first.text(["a red star"], 64, 64).context
    with torch.no_grad():
        pipeline.text_encoder.get_input_embeddings().weight.mul_(2)
    if kind == "file":
        write_checkpoint(pipeline, place, SD1_TEXTS)
    else:
        pipeline.text_encoder.save_pretrained(place / "text_encoder")
    other = load_base(place, cache, CPU, config)
    assert first.name == again.name != other.name
    assert not torch.equal(before, other.text(["a red star"], 64, 64).context)


@pytest.mark.parametrize(
    ("family", "layout", "precision"),
    [
        (sd15, "prompt.json", "fp32"),
        (sd15, "metadata.jsonl", "bf16"),
        (sd15, "prompt.json", "fp16"),
        (sdxl, "prompt.json", "bf16"),
    ],
)
def test_cnet_train_on_a_folder_gives_a_net_that_diffusers_loads(
    tmp_path: Path,
    family,
    layout: str,
    precision: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from cnet_core.training import folder_source

    monkeypatch.setattr(folder_source, "STEPS", 1)
    family(tmp_path / "base")
    data = pictures(tmp_path / "data", layout)
    out = tmp_path / "out"
    options = ["--base", str(tmp_path / "base"), "--data", str(data), "--out", str(out)]
    size = "64" if precision == "bf16" else "32"  # oneDNN: NaN as bf16 gradients over one pixel
    numbers = ["--size", size, "--steps", "2", "--batch-size", "2", "--learning-rate", "0.001"]
    kind = ["--flip", "--ema", "0.9", "--precision", precision, "--device", "cpu"]
    assert main(["train", *options, *numbers, *kind]) == 0, capsys.readouterr().err
    resumed = ["train", "--out", str(out), "--resume", "--steps", "3", "--device", "cpu"]
    assert main(resumed) == 0, capsys.readouterr().err
    drawn = {file.name for file in (out / "previews").iterdir()}
    assert drawn == {"step_00000002.png", "step_00000003.png"}
    net = cn.load_controlnet(out / "control_net.safetensors")
    cn.save_controlnet(net, tmp_path / "theirs", layout="diffusers")
    theirs = ControlNetModel.from_pretrained(tmp_path / "theirs")
    assert bool(theirs.controlnet_down_blocks[0].weight.any())


def test_bases_that_cannot_be_used_are_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, data = tmp_path / "base", pictures(tmp_path / "data", "prompt.json")
    base.mkdir()
    options = ["--data", str(data), "--out", str(tmp_path / "out"), "--size", "32"]
    assert main(["train", "--base", str(base), *options]) == 1
    assert main(["train", "--base", str(tmp_path / "nowhere"), *options]) == 1
    net, inpainting = tmp_path / "net.safetensors", tmp_path / "inpainting.safetensors"
    cn.save_controlnet(cn.ControlNet(SMALL), net)
    assert main(["train", "--base", str(net), *options]) == 1
    save_file(cn.UNet(replace(SMALL, in_channels=9)).state_dict(), inpainting)
    assert main(["train", "--base", str(inpainting), *options]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "is a folder without diffusion_pytorch_model" in said[0]
    assert "There is no file" in said[1]
    assert "holds no Stable Diffusion UNet" in said[2]
    assert "takes 9 channels: it is made for inpainting" in said[3]
    assert len(said) == 4


def _without(base: Path, file: Path, part: str) -> Path:
    """Writes a checkpoint that lacks a part of its base."""
    write_checkpoint(sd15(base), file, SD1_TEXTS)
    tensors = {k: v for k, v in load_file(file).items() if not k.startswith(part)}
    save_file(tensors, file)
    return file


@pytest.mark.parametrize("part", ["cond_stage_model.", "first_stage_model."])
def test_a_checkpoint_that_lacks_a_part_is_one_sentence(tmp_path: Path, part: str) -> None:
    file = _without(tmp_path / "base", tmp_path / "half.safetensors", part)
    with pytest.raises(ValueError, match=r"cannot be loaded: .*missing") as caught:
        load_base(file, Cache(tmp_path / "cache"), CPU, tmp_path / "base")
    assert "\n" not in str(caught.value)


def test_configs_of_another_family_are_named(tmp_path: Path) -> None:
    write_checkpoint(sd15(tmp_path / "base"), tmp_path / "base.safetensors", SD1_TEXTS)
    other = tmp_path / "other"
    sdxl(other)
    file = other / "text_encoder_2" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "hidden_size": 1280}))
    with pytest.raises(ValueError, match=r"1284 wide, but the UNet takes 24 .* different families"):
        load_base(tmp_path / "base.safetensors", Cache(tmp_path / "cache"), CPU, other)


def _same_prediction(theirs, ours, text, added: dict[str, torch.Tensor]) -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    options = {"added_cond_kwargs": added} if added else {}
    with torch.no_grad():
        expected = theirs.unet(x, 500, text.context, **options).sample
        found = ours.unet(x, torch.tensor([500]), text.context, text.y)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
