"""Every node is explained in every language of the pack: its texts, and a page of help."""

import json
import re
from typing import Any

import pytest
from host import REPOSITORY, Host

from locales import FOLDER, LANGUAGES, english

DOCS = REPOSITORY / "js" / "docs"


def translated(language: str) -> dict[str, Any]:
    """Returns a language's file."""
    return json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8"))


def shape(texts: Any) -> Any:
    """Returns the keys of nested texts, and whether there is a text."""
    return {k: shape(v) for k, v in texts.items()} if isinstance(texts, dict) else bool(texts)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_input_and_output_has_its_texts(comfy: Host, language: str) -> None:
    assert shape(translated(language)) == shape(english(comfy.info))


def test_the_english_texts_are_the_nodes_own(comfy: Host) -> None:
    assert translated("en") == english(comfy.info), "run tests/comfy/make_locale.py"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_translations_are_translations(language: str) -> None:
    own, their = translated("en"), translated(language)
    for node, texts in own.items():
        assert their[node]["description"] != texts["description"]
        for name, entry in texts.get("inputs", {}).items():
            assert their[node]["inputs"][name]["tooltip"] != entry["tooltip"], (node, name)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_node_has_a_page_of_help_in_words_of_all_inputs(comfy: Host, language: str) -> None:
    for node, texts in english(comfy.info).items():
        path = f"{node}.md" if language == "en" else f"{node}/{language}.md"
        page = (DOCS / path).read_text(encoding="utf-8")
        missing = [name for name in texts.get("inputs", {}) if f"`{name}`" not in page]
        assert not missing, (node, missing)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_of_help_has_a_picture(comfy: Host, language: str) -> None:
    """Its address counts from js/docs, wherever the page is."""
    for node in english(comfy.info):
        page = DOCS / (f"{node}.md" if language == "en" else f"{node}/{language}.md")
        pictures = re.findall(r"!\[.*\]\((.+)\)", page.read_text(encoding="utf-8"))
        assert pictures == [f"images/{node}.png"]
        assert (DOCS / pictures[0]).is_file()


def test_comfyui_serves_all_languages(comfy: Host) -> None:
    served = comfy.get("/i18n")
    for language in LANGUAGES:
        assert served[language]["nodeDefs"].items() >= translated(language).items()
