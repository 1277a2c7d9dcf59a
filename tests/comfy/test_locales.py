"""ComfyUI serves the texts of locales/, and the English ones are the nodes' own."""

import json
from typing import Any

import pytest
from host import Host

from locales import FOLDER, LANGUAGES, english


def texts_of(language: str) -> dict[str, Any]:
    """Returns a language's file."""
    return json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8"))


def test_the_english_texts_are_what_comfyui_serves_of_the_nodes(comfy: Host) -> None:
    assert texts_of("en") == english(comfy.info)


@pytest.mark.parametrize("language", LANGUAGES)
def test_comfyui_serves_all_languages(comfy: Host, language: str) -> None:
    assert comfy.get("/i18n")[language]["nodeDefs"].items() >= texts_of(language).items()
