"""The example for diffusers runs, and every way of control in it does something."""

import runpy
from pathlib import Path

import pytest

pytest.importorskip("diffusers")

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "diffusers_pipeline.py"


def test_the_example_runs_and_every_way_of_control_changes_the_picture() -> None:
    changes = runpy.run_path(str(EXAMPLE))["main"]()
    assert len(set(changes.values())) == 4
    assert min(changes.values()) > 0
