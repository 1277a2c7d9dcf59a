"""What control costs in operations: the arithmetic limit and nothing above it. Times are for `cnet bench` to tell."""

import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel

from cnet_core.bench import others
from cnet_core.bench.settings import BenchSettings
from cnet_core.bench.steps import LIMITS, PLAIN, columns
from cnet_core.bench.timing import flops
from cnet_core.cli import main

SMALLEST = {
    "sd15": BenchSettings(width=0.1, side=64),
    "sdxl": BenchSettings("sdxl", width=0.1, side=64),
}


@pytest.fixture(scope="module", params=["sd15", pytest.param("sdxl", marks=pytest.mark.slow)])
def counted(request: pytest.FixtureRequest) -> dict[str, int]:
    """Operations of a step in every way, once what is kept between steps is there."""
    settings = SMALLEST[request.param]
    works = columns(settings, *settings.nets())
    with torch.no_grad():
        for work in works.values():
            work()
    return {name: flops(work) for name, work in works.items()}


def over(counted: dict[str, int], name: str) -> int:
    return counted[name] - counted[PLAIN]


def test_control_costs_what_the_rows_with_control_cost_in_the_unet_s_own_encoder(counted) -> None:
    """The zero convs come on top."""
    assert over(counted, "both") / counted[LIMITS["both"]] < 1.03
    assert over(counted, "cond only") / counted[LIMITS["cond"]] < 1.03


def test_cond_only_is_exactly_half_of_both(counted) -> None:
    assert 2 * over(counted, "cond only") == over(counted, "both")


@pytest.mark.parametrize("name", ["cond only, step reused", "cond only, outside its window"])
def test_steps_without_control_cost_nothing(counted, name: str) -> None:
    assert over(counted, name) == 0


def test_diffusers_counts_the_same_unet(counted) -> None:
    pytest.importorskip("diffusers")
    assert counted[others.PLAIN] == counted[PLAIN]
    assert over(counted, "both") < over(counted, "diffusers: both")
    assert over(counted, "cond only") < over(counted, "diffusers: guess mode")
    assert over(counted, "diffusers: outside its window") == over(counted, "diffusers: both")


def test_scales_cost_nothing_and_a_cut_one_saves_the_deep_blocks(counted) -> None:
    assert over(counted, "both, soft scales") == over(counted, "both")
    assert 0 < over(counted, "cond only, 6 shallow blocks") < over(counted, "cond only")


def test_the_command_writes_table_json_and_chart(tmp_path, capsys) -> None:
    settings = ["--width", "0.1", "--side", "64", "--rounds", "1", "--device", "cpu"]
    settings += ["--ways", "both", "cond only", "cond only, step reused"]
    assert main(["bench", "--steps", "--loading", *settings, "--out", str(tmp_path)]) == 0
    assert "cond only" in capsys.readouterr().out
    table, loading = json.loads((tmp_path / "bench.json").read_text())["tables"]
    assert loading["rows"]["cnet_core"]["least ms"] > 0
    assert table["rows"][PLAIN]["x UNet"] == 1
    assert table["rows"]["cond only, step reused"]["x UNet (FLOPs)"] == 1
    assert table["rows"][PLAIN]["operations"] > table["rows"][PLAIN]["that write"] > 100
    assert table["rows"]["both"]["operations"] > table["rows"][PLAIN]["operations"]
    with Image.open(tmp_path / "bench.png") as chart:
        assert chart.size[0] > 500


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        (["--side", "100"], "multiple of 64"),
        (["--rounds", "0"], "at least 1"),
        (["--prompt-steps", "0"], "at least 1"),
        (["--prompts"], "--comfyui PATH"),
        (["--comfyui", "nowhere"], "no main.py"),
        (["--comfyui", "nowhere", "--width", "0.1"], "at least 64 channels"),
    ],
)
def test_bad_arguments_are_one_sentence(argument: list[str], words: str, capsys) -> None:
    assert main(["bench", *argument]) == 1
    assert words in capsys.readouterr().err


def test_a_python_that_is_not_there_is_told_at_once(tmp_path, capsys) -> None:
    (tmp_path / "main.py").touch()
    assert main(["bench", "--comfyui", str(tmp_path), "--comfyui-python", "nowhere"]) == 1
    assert "`--comfyui-python` is nowhere; there is no such program" in capsys.readouterr().err


@pytest.mark.parametrize("kernel", [SDPBackend.FLASH_ATTENTION, SDPBackend.MATH])
def test_attention_is_counted_whichever_kernel_computes_it(kernel: SDPBackend) -> None:
    """2 pictures, 3 heads 8 wide, 16 tokens that look at 10: two products of 2 operations a number."""
    query, key = torch.randn(2, 3, 16, 8), torch.randn(2, 3, 10, 8)
    with sdpa_kernel(kernel):
        found = flops(lambda: F.scaled_dot_product_attention(query, key, key))
    assert found == 2 * (2 * 2 * 3 * 16 * 10 * 8)
