"""Host time: what control adds to a step of a narrow SD1.5, in ms of processor time, as a Markdown table.

host_time_script.py COMFYUI: 20 steps of Euler at 64 x 64 pixels; medians of 12 rounds in one process, in which each way
runs once, in turn. The nets are so narrow that a fast GPU would wait for Python; one thread.
"""

import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import REPOSITORY, apply_control_net, cnet, comfy, pack, torch  # isort: skip
import comfy.controlnet

import nodes

WIDTH, SIDE, STEPS, ROUNDS, CFG = 0.2, 64, 20, 12, 7.5
NATIVE = "ComfyUI's own, both"


def load_bench_nodes() -> Any:
    """Returns the nodes of `cnet bench`, which make a model of random weights."""
    path = REPOSITORY / "cnet_core" / "bench" / "comfyui" / "pack" / "__init__.py"
    spec = importlib.util.spec_from_file_location("cnet_bench_nodes", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def make_ways(file: Path) -> dict[str, Callable[[int], Any]]:
    """Returns what is timed, by name; each takes a seed."""
    settings = pack("cnet_core.bench.settings").BenchSettings(width=WIDTH, side=SIDE)
    cnet.save_controlnet(settings.nets()[1], file)
    made = load_bench_nodes()
    arguments = pack("cnet_core.bench.comfyui.graphs").unet_arguments(settings.config)
    (model,) = made.CnetBenchModel().run(json.dumps(arguments))
    texts = [
        made.CnetBenchText().run(77, settings.config.context_dim, 0, seed)[0] for seed in (1, 2)
    ]
    hint = torch.full((1, SIDE, SIDE, 3), 0.5)
    net = pack("nodes.comfyui.control_net").CondControl(pack("nodes.comfyui.files").load_path(file))
    native = comfy.controlnet.load_controlnet(str(file))
    applied = nodes.ControlNetApplyAdvanced().apply_controlnet(*texts, native, hint, 1.0, 0.0, 1.0)
    cond_only = cnet.HintRouting.cond_only()
    return {
        "no control": _sampling(model, *texts),
        "both": _sampling(apply_control_net(model, net, hint, 1.0, 0.0, 1.0), *texts),
        "cond only": _sampling(
            apply_control_net(model, net, hint, 1.0, 0.0, 1.0, routing=cond_only), *texts
        ),
        NATIVE: _sampling(model, *applied),
    }


def _sampling(model: Any, positive: Any, negative: Any) -> Callable[[int], Any]:
    latents = {"samples": torch.zeros(1, 4, SIDE // 8, SIDE // 8)}
    settings = (STEPS, CFG, "euler", "normal", positive, negative, latents)
    return lambda seed: nodes.common_ksampler(model, seed, *settings)


def measure(ways: dict[str, Callable[[int], Any]]) -> dict[str, float]:
    """Returns the median processor time of a step by way, in ms."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for seed in range(ROUNDS + 1):
        for name, run in ways.items():
            start = time.process_time()
            run(seed)
            took[name].append(1e3 * (time.process_time() - start) / STEPS)
    return {name: statistics.median(times[1:]) for name, times in took.items()}


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        step = measure(make_ways(Path(folder) / "net.safetensors"))
    over = {name: took - step["no control"] for name, took in step.items()}
    lines = [f"| | ms a step | over {NATIVE} |", "|---|---|---|"]
    for name in ("both", "cond only", NATIVE):
        lines.append(f"| {name} | {over[name]:.1f} | {over[name] / over[NATIVE]:.2f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
