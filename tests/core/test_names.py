"""One name, one thing: no two public classes or types of the product share a name."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]


def public_names(source: str) -> Iterator[str]:
    """Yields the public classes of a module, and its public types by assignment."""
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        names = [node.name] if isinstance(node, ast.ClassDef) else []
        names += [target.id for target in targets if isinstance(target, ast.Name)]
        yield from (name for name in names if name[0].isupper() and not name.isupper())


def test_no_public_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for folder in ("cnet_core", "nodes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in public_names(path.read_text()):
                places[name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_what_counts_as_a_public_name() -> None:
    source = "class Net: ...\nclass _Own: ...\nStep = tuple[int, int]\nLIMIT = 3\n\ndef f():\n    class Local: ..."
    assert list(public_names(source)) == ["Net", "Step"]
