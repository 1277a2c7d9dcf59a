"""What control adds to a step, in ATen operations: exactly what tests/comfy/operations.json lists.

After a change that adds or saves operations, write the file again:
`python tests/comfy/make_operations.py COMFYUI PYTHON`.
"""

import json
from pathlib import Path

import pytest
from host import Host
from operations import Count, over_plain, versions

FILE = Path(__file__).parent / "operations.json"


def test_control_adds_exactly_the_operations_that_the_file_lists(comfy: Host) -> None:
    version, expected = versions(comfy), json.loads(FILE.read_text())
    if version not in expected:
        pytest.skip(f"no numbers for {version}, only for {', '.join(expected)}")
    changes = _changes(expected[version], over_plain(comfy))
    assert changes == {}, json.dumps(changes, indent=1)


def _changes(expected: dict, found: dict) -> dict:
    """Returns the kinds that changed, by way: found - expected, [all, those that write]."""
    counts = {name: (_count(expected[name]), _count(found[name])) for name in expected}
    changes = {name: after.over(before).to_dict() for name, (before, after) in counts.items()}
    return {name: change for name, change in changes.items() if change["kinds"]}


def _count(values: dict) -> Count:
    return Count({kind: tuple(pair) for kind, pair in values["kinds"].items()})


def test_changes_are_listed_by_kind() -> None:
    before = {"both": {"kinds": {"aten.add.Tensor": [3, 3], "aten.view.default": [2, 0]}}}
    after = {"both": {"kinds": {"aten.add.Tensor": [4, 4], "aten.view.default": [2, 0]}}}
    assert _changes(before, before) == {}
    kinds = {"aten.add.Tensor": [1, 1]}
    assert _changes(before, after) == {"both": {"operations": 1, "that write": 1, "kinds": kinds}}
