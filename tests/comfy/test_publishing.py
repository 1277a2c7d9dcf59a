"""What the registry of ComfyUI's node packs reads of ours, by ComfyUI's own parser."""

import json
import subprocess
from typing import Any

import pytest
from host import REPOSITORY, Host, version_of
from packaging.specifiers import SpecifierSet

PARSE = """
import sys
from comfy_config.config_parser import extract_node_configuration
print(extract_node_configuration(sys.argv[1]).model_dump_json())
"""


@pytest.fixture(scope="module")
def parsed(comfy: Host) -> dict[str, Any]:
    """Our pyproject.toml as this ComfyUI understands it."""
    command = [comfy.place.python, "-c", PARSE, str(REPOSITORY)]
    run = subprocess.run(command, cwd=comfy.place.comfyui, check=True, capture_output=True)
    return json.loads(run.stdout)


def test_all_is_there_but_what_the_publisher_alone_knows(parsed: dict[str, Any]) -> None:
    project, pack = parsed["project"], parsed["tool_comfy"]
    for name in ("name", "description", "version", "supported_comfyui_version", "supported_os"):
        assert project[name], name
    assert project["license"]["text"] == "Apache-2.0 AND MIT"
    assert pack["display_name"]
    assert pack["web"] is None, "WEB_DIRECTORY says it; both would load everything twice"


def test_the_version_that_it_asks_for_is_no_newer_than_those_it_is_tested_in(
    comfy: Host, parsed: dict[str, Any]
) -> None:
    wanted = SpecifierSet(parsed["project"]["supported_comfyui_version"])
    assert version_of(comfy.place.comfyui) in wanted


def test_the_pack_loads_without_a_complaint(comfy: Host) -> None:
    lines = [line for line in comfy.log.splitlines() if "custom_nodes/cnet" in line]
    assert lines
    assert not any("IMPORT FAILED" in line or "Cannot import" in line for line in lines)
    assert "Unable to parse pyproject.toml" not in comfy.log
