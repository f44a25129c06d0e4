"""Redaction: words that give the answer away are replaced before a model, or a reader of the cohort, sees them."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

TOKEN = "[redacted]"  # noqa: S105 - what stands in the text instead of a term

# Between the words of a term: at most three of blank, hyphen (of any kind), slash, dot or underscore, or nothing.
_SEPARATOR = r"[\s\-_/.\u00ad\u2010-\u2015\u2212]"
_LETTER = r"[^\W_]"
_REST = _LETTER + "{0,40}"  # bounded, so that the time is linear in the text
_WORD = re.compile(r"\*?[^\W_]+\*?")
_RUN = re.compile(r"\d+|[^\W\d_]+|[^\W_]")  # letters and digits apart; the last for letters that are neither, as ²
_MERGED = re.compile(r"\[redacted\](?:[ \t,/-]{0,3}\[redacted\])+")


class Redaction:
    """Whole words and phrases to replace, in any case and with any diacritics.

    `*` at the beginning or end of a term stands for the rest of a word (`intubat*`). The words of a phrase, and the
    letters and digits of a word, may be joined by blanks, hyphens, slashes, dots, underscores or nothing: `covid 19`,
    `COVID-19` and `covid19` are one term.

    Example:
        >>> Redaction(["covid 19", "intubat*"]).apply("COVID-19, later intubated.")[0]
        '[redacted], later [redacted].'

    Args:
        terms: The terms; where two begin at one place the longer wins.
    """

    def __init__(self, terms: Sequence[str]) -> None:
        self.terms = tuple(dict.fromkeys(term.strip() for term in terms if any(map(str.isalnum, term))))
        order = sorted(range(len(self.terms)), key=lambda n: (-len(self.terms[n]), n))
        either = "|".join(f"(?P<t{n}>{_pattern(self.terms[n])})" for n in order) or r"(?!)"
        # What is redacted already is stepped over, so that applying again changes nothing.
        self._pattern = re.compile(rf"{re.escape(TOKEN)}|(?<!{_LETTER})(?={_LETTER})(?:{either})(?!{_LETTER})")

    def apply(self, text: str) -> tuple[str, Counter[str]]:
        """The text with every term replaced by `[redacted]`, and how often each was; neighbours become one mark.

        Applying it again changes nothing. The time is linear in the length of the text.
        """
        plain, places = _plain(text)
        counts: Counter[str] = Counter()
        pieces: list[str] = []
        last = 0
        for match in self._pattern.finditer(plain):
            if match.lastgroup is None:
                continue
            start = max(last, places[match.start()])
            end = places[match.end() - 1] + 1
            while end < len(text) and unicodedata.combining(text[end]):
                end += 1
            if start >= end:  # a second match inside one letter, such as a fraction
                continue
            counts[self.terms[int(match.lastgroup[1:])]] += 1
            pieces += [text[last:start], TOKEN]
            last = end
        return _MERGED.sub(TOKEN, "".join([*pieces, text[last:]])), counts


def _plain(text: str) -> tuple[str, Sequence[int]]:
    """Small letters without diacritics, and where in the text each stands."""
    if text.isascii():
        return text.lower(), range(len(text))
    letters: list[str] = []
    places: list[int] = []
    for place, character in enumerate(text):
        if character.isascii():
            letters.append(character.lower())
            places.append(place)
            continue
        for part in unicodedata.normalize("NFKD", character).lower():
            if not unicodedata.combining(part):
                letters.append(part)
                places.append(place)
    return "".join(letters), places


def _pattern(term: str) -> str:
    """The term as a regular expression over plain text."""
    pattern, open_end = "", False
    for word in _WORD.findall(_plain(term)[0]):
        # After a wildcard the separator is a must, so that no stretch can be divided in two ways.
        joint = (_SEPARATOR + ("{1,3}" if open_end or word.startswith("*") else "{0,3}")) if pattern else ""
        core = (_SEPARATOR + "{0,3}").join(re.escape(run) for run in _RUN.findall(word))
        open_end = word.endswith("*")
        pattern += joint + (_REST if word.startswith("*") else "") + core + (_REST if open_end else "")
    return pattern
