"""Notes without names, dates, numbers and addresses, as far as patterns and known names go."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

SHORTEST = 3  # letters of a known name that is looked for; shorter ones stand in too many words
# Words of ids and of placeholder names that are no names.
_COMMON = frozenset(
    ("anon", "anonymised", "anonymized", "anonymous", "case", "day", "donor", "female", "image", "male", "name", "note",
     "none", "patient", "person", "phantom", "pseudo", "scan", "series", "study", "subject", "test", "undated",
     "unknown", "visit")
)  # fmt: skip
OLDEST = 89  # years; greater ages name few people and are cut (45 CFR 164.514(b)(2)(i)(C))

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_CAPITAL = r"[A-ZÀ-ÖØ-Þ][\w'’.-]{0,30}"
_PLACE = r"(?:Hospital|Clinic|Infirmary|Medical Cent(?:er|re)|Hospice|Surgery|Health Cent(?:er|re)|Nursing Home)"
_STREET = (
    r"(?:Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Close|Court|Ct|Place|Square|Terrace|Boulevard|Blvd|Crescent|"
    r"Gardens|Grove|Way)"
)
_TITLE = r"(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Professor|Doctor|Nurse|Sister)"
_BEFORE = (  # what a name stands behind
    r"(?:(?:patient(?:'s)? name|name|surname|patient|attending|consultant|radiologist|physician) ?:"
    r"|(?:dictated|reported|verified|referred|signed(?: electronically)?) by:?)"
)
_RECORD = r"(?:MRN|NHS|SSN|ID|acc(?:ession)?|record)(?: ?(?:no|number|#))?"


def _written(pattern: str, *, any_case: bool = False) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE if any_case else 0)


# In order: what is longest and surest first. Every repetition is bounded, so that the time is linear in the text.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("address", _written(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")),
    ("address", _written(r"\b(?:https?://|www\.)[^\s<>\"]{1,300}", any_case=True)),
    ("date", _written(r"\b\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[T ]\d{1,2}:\d{2}(?::\d{2})?)?\b")),
    ("date", _written(r"\b\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})\b")),
    (
        "date",
        _written(
            rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?: of)?[ .-]{{1,2}}{_MONTH}\b(?:[,. -]{{1,2}}\d{{4}}\b)?", any_case=True
        ),
    ),
    ("date", _written(rf"\b{_MONTH}\.? \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?", any_case=True)),
    ("date", _written(rf"\b{_MONTH}\.?,? \d{{4}}\b", any_case=True)),
    ("address", _written(rf"\b\d{{1,5}}[a-z]?,? (?:{_CAPITAL} ){{1,3}}{_STREET}\b\.?")),
    ("address", _written(r"\b[A-Z]{1,2}\d[A-Z\d]? ?\d[A-Z]{2}\b")),  # a British postcode
    ("address", _written(r"\b[A-Z]{2},? \d{5}(?:-\d{4})?\b")),  # an American one, behind its state
    ("place", _written(rf"\b(?:{_CAPITAL} ){{1,4}}{_PLACE}\b")),
    ("number", _written(r"(?<![\d.])\+?\(?\d{2,5}\)?(?:[ .-]\d{2,5}){2,4}(?![\d.])")),  # telephones, NHS, SSN
    ("number", _written(rf"\b{_RECORD}[.:# ]{{1,3}}[A-Z]{{0,3}}\d[\w-]{{2,20}}", any_case=True)),
    ("number", _written(r"\b[A-Z]{0,3}\d{6,20}\b")),
    ("name", _written(rf"\b{_TITLE}\b\.? (?:[A-Z]\.? ){{0,2}}{_CAPITAL}(?: {_CAPITAL})?")),
    ("name", _written(rf"(?P<before>\b(?i:{_BEFORE}) {{1,3}}){_CAPITAL}(?:,? (?:[A-Z]\.|{_CAPITAL})){{1,2}}")),
)
_AGE = re.compile(r"\b(\d{2,3})(?=[ -]{0,2}(?:y(?:ea)?rs?|y/?o|years?)\b)", re.IGNORECASE)
_JOINED = re.compile(r"(\[(\w+)\])(?:[ ,]{1,2}\[\2\])+")


class Screen:
    """Replaces what names a person by `[name]`, `[date]`, `[number]`, `[address]`, `[place]` or `[age]`.

    Args:
        names: Names and numbers that are known to belong to the patient or those around: each word of them is
            looked for in any case and with or without diacritics.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        parts = {part for name in names for part in words_of(name)}
        either = "|".join(re.escape(part) for part in sorted(parts, key=lambda part: (-len(part), part)))
        # An underscore is no letter here: names stand in made-up file names.
        self._known = re.compile(rf"(?<![^\W_])(?:{either})(?:'s|’s)?(?![^\W_])", re.IGNORECASE) if parts else None

    def apply(self, text: str) -> tuple[str, Counter[str]]:
        """The text without them, and how many of each kind were replaced."""
        counts: Counter[str] = Counter()
        text = unicodedata.normalize("NFC", text)
        if self._known is not None:
            text = self._replaced_known(text, counts)
        for kind, pattern in PATTERNS:
            text, replaced = pattern.subn(
                rf"\g<before>[{kind}]" if "before" in pattern.groupindex else f"[{kind}]", text
            )
            counts[kind] += replaced
        text, replaced = _AGE.subn(lambda match: match[1] if int(match[1]) <= OLDEST else "[age]", text)
        counts["age"] += text.count("[age]")
        return _JOINED.sub(r"\1", text), +counts

    def _replaced_known(self, text: str, counts: Counter[str]) -> str:
        """Known names are looked for in a copy without diacritics, letter by letter as long as the text."""
        assert self._known is not None
        plain = "".join(_bare(letter) for letter in text)
        pieces, last = [], 0
        for match in self._known.finditer(plain):
            pieces += [text[last : match.start()], "[name]"]
            last = match.end()
            counts["name"] += 1
        return "".join([*pieces, text[last:]])


def words_of(name: str) -> set[str]:
    """The words of a name or number that are long enough to look for, without diacritics, in small letters."""
    return {word for word in re.findall(r"[^\W_]+", plain_of(name)) if len(word) >= SHORTEST} - _COMMON


def plain_of(text: str) -> str:
    """The text in small letters without diacritics."""
    return "".join(_bare(letter) for letter in unicodedata.normalize("NFC", text)).lower()


def _bare(letter: str) -> str:
    """One letter without its diacritic; the letter itself if that would not be one letter."""
    parts = [part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part)]
    return parts[0] if len(parts) == 1 else letter
