"""The API reference holds every public name with its docstring, and refuses names that lead nowhere."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("pdoc", reason="only the docs extra brings it")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import api
import pdoc.doc

import cnet_core

CLASS = cnet_core.HintRouting
#: What the comments above our constants begin with.
CONSTANTS = {
    "PROFILE_NAMES": "Every name that",
    "SD15": "Stable Diffusion 1.x.",
    "SD21": "Stable Diffusion 2.x.",
    "SDXL": "Stable Diffusion XL",
}


def test_every_public_name_is_written_with_its_docstring(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        api.main(["--out", str(tmp_path)])
    assert ended.value.code == 0
    page = (tmp_path / "cnet_core.html").read_text()
    modules = [module.__name__.rpartition(".")[2] for module in api.public_modules()[1:]]
    for name in {*cnet_core.__all__} - {*modules}:
        said = CONSTANTS.get(name) or getattr(cnet_core, name).__doc__
        first = re.match(r"[\w. ]+", said)  # up to a mark that HTML writes otherwise
        assert first is not None, name
        assert first[0] in page.split(f'id="{name}"')[1], name
    assert 'src="http' not in page
    assert all((tmp_path / "cnet_core" / f"{name}.html").is_file() for name in modules)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("HintRouting", False),
        ("HintRouting.target_gain", False),
        ("HintRouting.cond", False),  # a field
        ("cond_only", False),
        ("cn.patch_unet", False),
        ("cnet_core.xray.describe", False),
        ("torch.compiler.reset", False),  # another library's
        ("gain", False),  # an argument
        ("HintRouting.target_gian", True),
        ("cn.patch_net", True),
        ("cnet_core.xray.describes", True),
        ("HintRooting", True),
    ],
)
def test_a_name_that_is_not_there_is_found(name: str, broken: bool) -> None:
    assert api.is_broken(name, [CLASS, cnet_core]) == broken


def test_faults_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CLASS, "__doc__", "See `BlockScale`, not `gain`.")
    monkeypatch.setattr(cnet_core.fit_hint, "__doc__", "Fits `height.of.it` like `cn.hints.fit`.")
    monkeypatch.setattr(cnet_core.profile, "__doc__", None)
    modules = {"cnet_core": pdoc.doc.Module(cnet_core)}
    assert "cnet_core.profile" in api.find_undocumented(modules)
    assert api.find_broken_references(modules) == [
        "cnet_core.HintRouting: `BlockScale` is not there",
        "cnet_core.fit_hint: `cn.hints.fit` is not there",
    ]
