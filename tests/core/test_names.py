"""One name, one thing: no public class name stands twice, and functions are no participles."""

import ast
import re
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


#: What looks like a participle and is none, and a public name that stays.
NO_PARTICIPLES = {"embed", "len", "seed", "open", "thicken", "when", "weighted", "widen"}
PARTICIPLE = re.compile(
    r".*[a-z](ed|en)|found|told|said|went|made|kept|left|drawn|shown|given|taken"
)


def first_words(source: str) -> Iterator[str]:
    """Yields the first word of each function of a module; properties are states, so they may be participles."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and not any(
            "property" in ast.unparse(each) for each in node.decorator_list
        ):
            yield node.name.strip("_").split("_")[0]


def test_no_function_is_named_by_a_participle() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {word}"
        for folder in ("cnet_core", "nodes")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for word in first_words(path.read_text())
        if PARTICIPLE.fullmatch(word) and word not in NO_PARTICIPLES
    ]
    assert found == []


def test_what_counts_as_a_participle() -> None:
    source = "def added(): ...\nclass Net:\n    @property\n    def pooled(self): ...\n    def _fitted(self): ..."
    assert [word for word in first_words(source) if PARTICIPLE.fullmatch(word)] == [
        "added",
        "fitted",
    ]
