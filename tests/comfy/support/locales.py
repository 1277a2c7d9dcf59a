"""The nodes' texts in ComfyUI's form for translations."""

import runpy
from collections.abc import Iterator, Mapping
from typing import Any

from host import REPOSITORY
from ui_format import inputs_of

FOLDER = REPOSITORY / "locales"
LANGUAGES = ("en", "ko", "ja", "zh")
#: How the category of our nodes ends, below that of ComfyUI's own ControlNet nodes.
OURS = "/cnet"


def english(info: Mapping[str, Any]) -> dict[str, Any]:
    """Returns our nodes' own texts: names, words to find them by, inputs and outputs with tooltips."""
    ours = [name for name, node in info.items() if node["category"].endswith(OURS)]
    return {name: _texts(info, name) for name in sorted(ours)}


def aliases(name: str) -> list[str]:
    """Returns the words that a node is looked for by; ComfyUIs before 0.11 do not serve them."""
    return list(runpy.run_path(str(REPOSITORY / "nodes" / "aliases.py"))["ALIASES"][name])


def _texts(info: Mapping[str, Any], name: str) -> dict[str, Any]:
    node = info[name]
    inputs = {
        key: {"name": key, "tooltip": served[1]["tooltip"]}
        for key, served in inputs_of(info, name).items()
    }
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        "search_aliases": aliases(name),
        **({"inputs": inputs} if inputs else {}),
        "outputs": {
            str(i): {"name": output, "tooltip": tooltip}
            for i, (output, tooltip) in enumerate(_outputs(node))
        },
    }


def _outputs(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    return zip(node["output_name"], node.get("output_tooltips", ()), strict=True)
