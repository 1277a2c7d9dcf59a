"""The nodes' texts in ComfyUI's form for translations."""

from collections.abc import Mapping
from typing import Any

from host import REPOSITORY
from ui_format import inputs_of

FOLDER = REPOSITORY / "locales"
LANGUAGES = ("en", "ko", "ja", "zh")
CATEGORY = "conditioning/cnet"


def english(info: Mapping[str, Any]) -> dict[str, Any]:
    """Returns our nodes' own texts: names, descriptions, inputs with tooltips, outputs by index."""
    ours = [name for name, node in info.items() if node["category"] == CATEGORY]
    return {name: _texts(info, name) for name in sorted(ours)}


def _texts(info: Mapping[str, Any], name: str) -> dict[str, Any]:
    node = info[name]
    inputs = {
        key: {"name": key, "tooltip": served[1]["tooltip"]}
        for key, served in inputs_of(info, name).items()
    }
    return {
        "display_name": node["display_name"],
        "description": node["description"],
        **({"inputs": inputs} if inputs else {}),
        "outputs": {str(i): {"name": output} for i, output in enumerate(node["output_name"])},
    }
