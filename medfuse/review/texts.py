"""The dashboard's words, kept apart from it: one YAML file a language in `dashboard/texts`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from medfuse.errors import MedfuseError
from medfuse.resources import shipped

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch"}


class Texts:
    """The words of one language.

    Example:
        >>> english()("viewer_slice")
        'Slice'

    Args:
        language: One of `LANGUAGES`.

    Raises:
        MedfuseError: If the language is not there.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._words = _read(language)

    def __call__(self, name: str, **values: Any) -> str:
        """The text of a name, with values put in.

        Raises:
            MedfuseError: If there is no such text.
        """
        if name not in self._words:
            message = f"dashboard/texts/{self.language}.yaml: there is no text '{name}'; add it there"
            raise MedfuseError(message)
        text = self._words[name]
        return _filled(text, values) if values else text

    def said(self, told: object) -> str:
        """What the program says in English, errors above all, in this language; as it is where that is not known.

        Args:
            told: An error, or a text.
        """
        english = str(told)
        for pattern, here in _sayings(self.language):
            if found := pattern.fullmatch(english):
                return _filled(here, {name: self.said(part) for name, part in found.groupdict().items()})
        return english

    def names(self) -> frozenset[str]:
        """The names that have a text."""
        return frozenset(self._words)

    def percent(self, probability: float) -> str:
        """A probability for reading: never "0 %" or "100 %", which no model can know."""
        if probability < 0.01:
            return self("less_than_one_percent")
        return self("more_than_99_percent") if probability > 0.99 else f"{100 * probability:.0f} %"

    def join(self, parts: list[str] | tuple[str, ...]) -> str:
        """Words in a row: `a, b and c`."""
        return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {self('and')} {parts[-1]}"


@cache
def english() -> Texts:
    """The language that everything is written in first."""
    return Texts("en")


@cache
def _sayings(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """English sentences as patterns, with what they are here; those with the longest words of their own first."""
    path = shipped("dashboard") / "texts" / f"said.{language}.yaml"
    if not path.is_file():
        return ()
    held: Mapping[str, str] = yaml.safe_load(path.read_text(encoding="utf-8"))
    ordered = sorted(held.items(), key=lambda pair: -len(re.sub(r"\{\w+\}", "", pair[0])))
    return tuple((_pattern(told), here) for told, here in ordered)


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: str(values[found[1]]), text)


def _pattern(told: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(told)), re.DOTALL)


@cache
def _read(language: str) -> Mapping[str, str]:
    if language not in LANGUAGES:
        message = f"the dashboard does not speak '{language}'; choose one of {', '.join(LANGUAGES)}"
        raise MedfuseError(message)
    content = yaml.safe_load((shipped("dashboard") / "texts" / f"{language}.yaml").read_text(encoding="utf-8"))
    return {str(name): str(text) for name, text in content.items()}
