"""`cnet bench --compile` times compiled steps, and counts operations of uncompiled ones."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from cnet_core.bench.comfyui import graphs
from cnet_core.bench.settings import BenchSettings
from cnet_core.cli import main


@pytest.mark.slow
def test_only_timed_steps_are_compiled(monkeypatch, capsys) -> None:
    calls = 0

    def compile(function: Callable[..., Any], **settings: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            nonlocal calls
            calls += 1
            return function(*args)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    size = ("--width", "0.1", "--side", "64", "--rounds", "1", "--device", "cpu")
    assert main(["bench", *size, "--ways", "both", "--compile"]) == 0
    assert "compiled" in capsys.readouterr().out.splitlines()[0]
    assert calls == 2  # in the round that is not counted, and in the one that is


@pytest.mark.parametrize("wanted", [True, False])
def test_prompts_load_the_net_compiled_on_request(wanted: bool) -> None:
    graph = graphs.ours(BenchSettings(compile=wanted), 0, "both")
    (loader,) = (node for node in graph.values() if node["class_type"] == "LoadControlNet")
    assert loader["inputs"]["compile"] == wanted
