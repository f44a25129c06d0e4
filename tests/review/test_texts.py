from __future__ import annotations

import re

import pytest

from medfuse.errors import MedfuseError
from medfuse.resources import shipped
from medfuse.review.texts import LANGUAGES, Texts


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text_with_the_same_values(language: str) -> None:
    texts, english = Texts(language), Texts("en")
    assert texts.names() == english.names()
    for name in english.names():
        assert set(re.findall(r"\{\w+\}", texts(name))) == set(re.findall(r"\{\w+\}", english(name))), name


def test_every_text_of_the_pages_is_there() -> None:
    names = Texts("en").names()
    for page in shipped("dashboard").rglob("*.py"):
        for name in re.findall(r"\bt\(\s*\"([a-z_0-9]+)\"", page.read_text(encoding="utf-8")):
            assert name in names, f"{page.name}: {name}"


def test_values_are_put_in_letter_by_letter() -> None:
    assert Texts("en")("verdict_unsure", answer="{answer} \\1") == "The model is not sure: it cannot exclude {answer} \\1."


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(MedfuseError, match="there is no text 'nothing_of_the_kind'"):
        Texts("en")("nothing_of_the_kind")
    with pytest.raises(MedfuseError, match="choose one of en, de"):
        Texts("../../etc/passwd")
