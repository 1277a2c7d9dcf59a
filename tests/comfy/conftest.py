"""The ComfyUIs that the tests of this folder run in, each once; without any they are skipped."""

from collections.abc import Iterator

import pytest
from host import Host, version_of
from places import places_of
from weights import write_models


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs every test in every ComfyUI that was given."""
    if "comfy" in metafunc.fixturenames:
        places = places_of(metafunc.config) or [None]
        names = ["none" if place is None else version_of(place.comfyui) for place in places]
        metafunc.parametrize("comfy", places, ids=names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def comfy(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Host]:
    """A running ComfyUI with our pack, the probe nodes and random ControlNet files."""
    if request.param is None:
        pytest.skip("no ComfyUI: give --comfyui=PATH or set CNET_COMFYUI")
    base = tmp_path_factory.mktemp("comfyui")
    write_models(base / "models")
    host = Host(request.param, base)
    yield host
    host.stop()
