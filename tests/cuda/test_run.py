"""A run on a GPU keeps what its parts found, ends what takes too long, and asks for ways that the bench has."""

import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from parts import GPU, PROMPTS, REHEARSAL, STEPS, Part, Sizes, stages
from report import page
from run import run_stage

from cnet_core.bench import others
from cnet_core.bench.comfyui import graphs
from cnet_core.bench.steps import OURS
from cnet_core.cli import main as cnet

MACHINE = {"machine": "a GPU", "torch": "2.11", "python": "3.12", "cores": 16}


def _part(name: str, code: str, seconds: int = 60) -> Part:
    return Part(name, seconds, (sys.executable, "-c", code), _found)


def _found(folder: Path) -> Any:
    return json.loads((folder / "found.json").read_text())


def _run(*parts: Part, seconds: float = 60) -> list[dict[str, Any]]:
    results = io.StringIO()
    run_stage(list(parts), time.monotonic() + seconds, results, io.StringIO())
    return [json.loads(line) for line in results.getvalue().splitlines()]


def test_each_part_writes_what_it_found_also_where_another_fails_or_takes_too_long() -> None:
    found = _run(
        _part("good", "open('{out}/found.json', 'w').write('[1]')"),
        _part("bad", "raise SystemExit('no such net')"),
        _part("slow", "import time; time.sleep(60)", seconds=2),
    )
    by_name = {one["part"]: one for one in found}
    assert by_name["good"]["exit"] == 0
    assert by_name["good"]["report"] == [1]
    assert by_name["bad"]["exit"] == 1
    assert "no such net" in by_name["bad"]["why"]
    assert by_name["slow"]["exit"] == -9
    assert "longer than it may" in by_name["slow"]["why"]
    assert by_name["slow"]["seconds"] < 30


def test_a_stage_is_not_started_when_no_time_is_left() -> None:
    (found,) = _run(_part("late", "pass"), seconds=1)
    assert found == {"part": "late", "exit": None, "why": "no time was left"}


def test_the_ways_are_the_bench_s() -> None:
    assert set(STEPS) <= {*OURS, *others.COUNTERPARTS}
    assert set(PROMPTS) <= set(graphs.ways(()))


@pytest.mark.parametrize("sizes", [GPU, REHEARSAL], ids=["gpu", "rehearsal"])
def test_the_commands_have_arguments_that_cnet_knows(sizes: Sizes, monkeypatch) -> None:
    """Each is stopped where it would begin to work."""
    parts = [part for stage in stages(sizes) for part in stage if "cnet_core.cli" in part.command]
    assert len(parts) > 5
    for module in ("bench", "train"):
        monkeypatch.setattr(f"cnet_core.cli.{module}.run", lambda args: 0)
    for part in parts:
        assert cnet(part.command[3:]) == 0


def test_the_page_has_the_figures_and_says_what_did_not_run() -> None:
    rows = {"both": {"median s": 0.9}, "ComfyUI: both": {"median s": 1.2}}
    report = {"tables": [{"title": "one prompt", "rows": rows}]}
    failures = {"test_a": "AssertionError: 1 != 2\nmore"}
    tests = {"passed": 3, "failed": 1, "skipped": 0, "failures": failures}
    parts = [
        {"part": "tests", "exit": 1, "seconds": 9.5, "report": tests, "why": "1 failed"},
        {"part": "prompts_512", "exit": 0, "seconds": 30, "report": report},
        {"part": "bench_1024", "exit": None, "why": "no time was left"},
    ]
    text = "\n".join(page(MACHINE, parts))
    assert "| tests | 3 passed, 1 failed, 0 skipped | 9.5 |" in text
    assert "- `test_a`: AssertionError: 1 != 2" in text
    assert "| both |  | 0.9 |  |  |" in text
    assert "| prompts_512 | 0.75 |  |  |" in text
    assert "- `bench_1024`, exit status None: no time was left" in text


def test_the_page_in_the_docs_is_made_from_the_results() -> None:
    docs = Path(__file__).parents[2] / "docs"
    if not (docs / "data/gpu.jsonl").exists():
        pytest.skip("no run on a GPU is kept")
    machine, *parts = map(json.loads, (docs / "data/gpu.jsonl").read_text().splitlines())
    assert "\n".join(page(machine, parts)) + "\n" == (docs / "dev/gpu.md").read_text()
