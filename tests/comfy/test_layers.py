"""Our layers give what ComfyUI's own give, also where they take another product, whatever is done to the weights."""

import subprocess
from pathlib import Path

import pytest
from host import Place, version_of
from places import places_of

SCRIPT = Path(__file__).parent / "support" / "layers_script.py"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs in every ComfyUI that was given."""
    places = places_of(metafunc.config) or [None]
    names = ["none" if place is None else version_of(place.comfyui) for place in places]
    metafunc.parametrize("place", places, ids=names)


def test_linear_layers_are_equal_to_comfyuis(place: Place | None) -> None:
    if place is None:
        pytest.skip("no ComfyUI: give --comfyui PATH or set CNET_COMFYUI")
    done = subprocess.run(
        [place.python, SCRIPT, place.comfyui], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
