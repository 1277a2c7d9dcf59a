"""Real bases against diffusers: the same text, the same UNet; `cnet train` on them, and the result in diffusers."""

from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from diffusers import ControlNetModel
from picture_folders import pictures
from pretrained_models import sd15, sdxl

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


@pytest.mark.parametrize("layout", ["prompt.json", "metadata.jsonl"])
def test_cnet_train_on_a_folder_gives_a_net_that_diffusers_loads(
    tmp_path: Path, layout: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnet_core.training import folder_source

    monkeypatch.setattr(folder_source, "STEPS", 1)
    sd15(tmp_path / "base")
    data = pictures(tmp_path / "data", layout)
    out = tmp_path / "out"
    options = ["--base", str(tmp_path / "base"), "--data", str(data), "--out", str(out)]
    numbers = ["--size", "32", "--steps", "2", "--batch-size", "2", "--learning-rate", "0.001"]
    assert main(["train", *options, *numbers, "--flip"]) == 0, capsys.readouterr().err
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
    said = capsys.readouterr().err.splitlines()
    assert "is a folder without diffusion_pytorch_model" in said[0]
    assert "There is no file" in said[1]
    assert len(said) == 2


def _same_prediction(theirs, ours, text, added: dict[str, torch.Tensor]) -> None:
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    options = {"added_cond_kwargs": added} if added else {}
    with torch.no_grad():
        expected = theirs.unet(x, 500, text.context, **options).sample
        found = ours.unet(x, torch.tensor([500]), text.context, text.y)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
