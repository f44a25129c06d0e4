"""Sections of English radiology and clinical notes, found by their headers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from medfuse.case import Note, Section
from medfuse.notes.redaction import TOKEN

# Headers as they are written, under the one name that medfuse gives the section.
HEADERS: dict[str, tuple[str, ...]] = {
    "INDICATION": (
        "indication", "indications", "clinical indication", "clinical indications", "indication for study",
        "indication for exam", "reason for exam", "reason for examination", "reason for study", "reason for scan",
        "reason for the study", "reason for this exam", "reason for this examination", "reason for visit",
        "reason for referral", "reason for request", "clinical information", "clinical details", "clinical question",
        "clinical data",
    ),
    "HISTORY": ("history", "clinical history", "clinical hx", "hx", "patient history", "relevant history"),
    "COMPARISON": ("comparison", "comparisons", "comparison study", "comparison studies", "compared to",
                   "prior studies", "prior study"),
    "TECHNIQUE": ("technique", "procedure", "procedures", "protocol", "technical factors"),
    "EXAMINATION": ("examination", "exam", "study", "examination type", "exam type", "type of exam"),
    "FINDINGS": ("findings", "finding", "report", "description", "radiological findings", "imaging findings"),
    "IMPRESSION": ("impression", "impressions", "opinion", "interpretation", "wet read", "preliminary read"),
    "CONCLUSION": ("conclusion", "conclusions", "summary"),
    "RECOMMENDATION": ("recommendation", "recommendations"),
    "ADDENDUM": ("addendum", "addenda"),
    "CHIEF COMPLAINT": ("chief complaint", "presenting complaint", "cc", "pc"),
    "HISTORY OF PRESENT ILLNESS": (
        "history of present illness", "history of the present illness", "history of presenting complaint",
        "history of presenting illness", "present illness", "hpi", "hpc",
    ),
    "PAST MEDICAL HISTORY": (
        "past medical history", "previous medical history", "medical history", "pmh", "pmhx", "past history",
        "past medical hx", "background", "bg",
    ),
    "SURGICAL HISTORY": ("surgical history", "past surgical history", "psh"),
    "MEDICATIONS": (
        "medications", "medication", "current medications", "home medications", "medications on admission",
        "admission medications", "meds",
    ),
    "ALLERGIES": ("allergies", "allergy", "drug allergies"),
    "SOCIAL HISTORY": ("social history", "social hx"),
    "FAMILY HISTORY": ("family history", "family hx"),
    "REVIEW OF SYSTEMS": ("review of systems", "ros"),
    "PHYSICAL EXAM": (
        "physical exam", "physical examination", "physical findings", "physical exam findings",
        "examination findings", "exam findings", "on examination", "clinical examination", "o/e",
    ),
    "VITALS": ("vitals", "vital signs", "observations", "obs"),
    "LABS": (
        "labs", "lab results", "laboratory", "laboratory data", "laboratory results", "laboratory findings",
        "pertinent results", "bloods", "blood tests",
    ),
    "ASSESSMENT": (
        "assessment", "assessment and plan", "assessment & plan", "assessment/plan", "a/p", "a&p",
        "diagnosis", "diagnoses", "final diagnosis", "final diagnoses", "differential diagnosis",
    ),
    "PLAN": ("plan", "treatment plan", "plan of care"),
    "HOSPITAL COURSE": ("hospital course", "brief hospital course", "course", "clinical course"),
    "DISCHARGE DIAGNOSIS": ("discharge diagnosis", "discharge diagnoses"),
}  # fmt: skip

# Sections written once the image was read or the answer known: off by default as a model's input.
OUTCOME_SECTIONS = (
    "FINDINGS", "IMPRESSION", "CONCLUSION", "RECOMMENDATION", "ADDENDUM", "DISCHARGE DIAGNOSIS", "ASSESSMENT", "PLAN",
    "HOSPITAL COURSE", "DISCHARGE SUMMARY",
)  # fmt: skip

_NAMES = {written: name for name, all_written in HEADERS.items() for written in all_written}
# A header of capitals that is in no list but has one of these words is that section: "CHEST FINDINGS", "FINAL
# IMPRESSION". Leaving out too much costs a little text; leaving in a conclusion gives the answer away.
_TELLING = {
    "IMPRESSION": "IMPRESSION", "FINDINGS": "FINDINGS", "CONCLUSION": "CONCLUSION", "CONCLUSIONS": "CONCLUSION",
    "ADDENDUM": "ADDENDUM", "RECOMMENDATION": "RECOMMENDATION", "RECOMMENDATIONS": "RECOMMENDATION",
    "ASSESSMENT": "ASSESSMENT", "DIAGNOSIS": "ASSESSMENT", "DIAGNOSES": "ASSESSMENT", "OPINION": "IMPRESSION",
    "INTERPRETATION": "IMPRESSION", "DISCHARGE": "DISCHARGE DIAGNOSIS",
}  # fmt: skip
# Sections of one paragraph: what stands behind it without a header of its own is what the reader saw. Reports often
# go on so after the comparison. INDICATION and the like run on in clinical notes, and end so in reports only.
_ONE_PARAGRAPH = frozenset({"COMPARISON", "TECHNIQUE"})
_ONE_PARAGRAPH_OF_REPORT = _ONE_PARAGRAPH | {"EXAMINATION", "INDICATION", "HISTORY"}
_MARK = re.compile(rf"[ \t]?{re.escape(TOKEN)}")
_BLANK_LINE = re.compile(r"\n[ \t]*+\n")

# Every repetition is bounded or possessive (`++`), so that the time is linear in the text.
_KNOWN = "|".join(re.escape(written).replace(r"\ ", r"[ ]{1,3}") for written in sorted(_NAMES, key=len, reverse=True))
_AT_LINE_START = re.compile(
    rf"""
    ^[ \t]{{0,60}}+ (?: [#]{{1,4}}+[ ]?+ | [*_>-]{{1,3}}+[ ]?+ )? (?: \d{{1,2}}+[.)][ \t]{{0,4}}+ )? [*_]{{0,2}}+
    (?=[A-Za-z])
    (?: (?P<known> (?i:{_KNOWN}) ) (?: [ ]?\([^()\n]{{0,40}}+\) )? [*_]{{0,2}}+
            [ \t]{{0,8}}+ (?: :[*_]{{0,2}}+ | [ \t\r]*+$ | (?<=[ \t])[-\u2013\u2014](?=[ \t]) )
      | (?P<capitals> [A-Z][A-Z0-9 /&()',-]{{1,60}}+ ) [*_]{{0,2}}+ :[*_]{{0,2}}+
    )
    """,
    re.VERBOSE | re.MULTILINE,
)
# Inside a line: behind the end of a sentence beginning with a capital, or all in capitals; always with a colon.
_INLINE = re.compile(rf"(?<![^\s.;!?)])(?=[A-Z])(?P<known>(?i:{_KNOWN}))[ \t]{{0,4}}:")
_SENTENCE_END = ".;!?)"
# In capitals without a colon, at the start of a line or behind a sentence, before text that is not in capitals.
_BARE = re.compile(
    r"(?:^[ \t]{0,60}+|(?<=[.;!?)])[ \t\n]{1,4}+)(?P<known>CLINICAL HISTORY|HISTORY|INDICATIONS?|COMPARISONS?|"
    r"TECHNIQUE|FINDINGS|IMPRESSIONS?|CONCLUSIONS?|RECOMMENDATIONS?|ADDENDUM)[ \t]{1,4}(?=[A-Z]?[a-z]|\d)",
    re.MULTILINE,
)


def find_sections(text: str, *, kind: str = "") -> tuple[Section, ...]:
    """The sections of a note in order; together they cover its text but for headers and blank stretches.

    A header is one of `HEADERS` in any case, numbered or not, at the start of a line with a colon or a dash, or alone
    on the line; or inside a line, behind a sentence, with a colon; or one of a report's in capitals before a sentence;
    or any words in capitals with a colon at the start of a line, which keep their own name. A header with nothing
    behind it gives a section without text. Of a report, what has no header is FINDINGS, and so is what follows the
    paragraph of a COMPARISON or TECHNIQUE. The time is linear in the length of the text.

    Args:
        text: The note.
        kind: The kind of document; one that is a report (`radiology report`) has findings where no header says so.

    Example:
        >>> text = "cough. FINDINGS: clear."
        >>> [(section.name, text[section.start : section.end]) for section in find_sections(text)]
        [('', 'cough.'), ('FINDINGS', 'clear.')]
    """
    report = "report" in kind
    sections: list[Section] = []
    name, start = "FINDINGS" if report else "", 0
    for header, begin, end in [*_headers(text), ("", len(text), len(text))]:
        if start == 0 and not text[:begin].strip():
            name = ""
        stretch = _trimmed(text, name, start, begin)
        for section in stretch:
            sections.extend(_paragraphs(text, section, _ONE_PARAGRAPH_OF_REPORT if report else _ONE_PARAGRAPH))
        name, start = header, end
    return tuple(sections)


def select(note: Note, *, exclude: Collection[str]) -> str:
    """The text that a model may read: the sections that are not excluded, each behind its header as written.

    The header goes with its text because it says how the text is meant: "HISTORY: pneumonia" is not "INDICATION:
    pneumonia". Marks of redaction are taken out: where something had to be removed tells the outcome by itself.

    Args:
        note: A note that was read.
        exclude: Names of sections, in any case and any wording of `HEADERS`; or kinds of notes, which are left out
            whole.
    """
    text = note.text or ""
    joined = "\n".join(text[start:end] for start, end in _pieces(note, exclude))
    return _MARK.sub("", joined).strip()


def places(note: Note, *, exclude: Collection[str]) -> list[int]:
    """Where each character of what `select` gives stands in the note's text; -1 for a line break between two pieces.

    Example:
        >>> places(Note(text="A: b", sections=find_sections("A: b")), exclude=())
        [0, 1, 2, 3]
    """
    found: list[int] = []
    for number, (start, end) in enumerate(_pieces(note, exclude)):
        found.extend([-1] if number else [])
        found.extend(range(start, end))
    text = note.text or ""
    joined = "".join("\n" if place < 0 else text[place] for place in found)
    for match in reversed(list(_MARK.finditer(joined))):
        del found[match.start() : match.end()]
    left = _MARK.sub("", joined)
    return found[len(left) - len(left.lstrip()) : len(left.rstrip())]


def kept_sections(note: Note, *, exclude: Collection[str]) -> tuple[int, ...]:
    """Which of the note's sections `select` takes, as places in `note.sections`."""
    unwanted = {_name_of(name) for name in exclude}
    if note.kind.upper() in {name.upper() for name in exclude}:
        return ()
    return tuple(place for place, section in enumerate(note.sections) if section.name not in unwanted)


def without_sections(note: Note, left_out: Collection[int]) -> Note:
    """The note as it would stand without some of its sections, their headers included.

    Args:
        note: A note that was read.
        left_out: Places in `note.sections`.
    """
    text, pieces, sections, last, length = note.text or "", [], [], 0, 0
    for place, section in enumerate(note.sections):
        if place not in left_out:
            piece = text[last : section.end]  # from the end of the section before: the header comes along
            shift = length - last
            sections.append(Section(section.name, section.start + shift, section.end + shift))
            pieces.append(piece)
            length += len(piece)
        last = section.end
    return replace(note, text="".join(pieces), sections=tuple(sections))


def _pieces(note: Note, exclude: Collection[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each stretch that `select` takes, without the blanks around it."""
    text, kept = note.text or "", set(kept_sections(note, exclude=exclude))
    last = 0
    for place, section in enumerate(note.sections):
        if place in kept:
            piece = text[last : section.end]  # from the end of the section before: the header comes along
            start = last + len(piece) - len(piece.lstrip())
            yield start, max(start, last + len(piece.rstrip()))
        last = section.end


def _headers(text: str) -> Iterator[tuple[str, int, int]]:
    """Name, start and end of each header in order."""
    found = [*_line_headers(text), *_inline_headers(text), *_bare_headers(text)]
    last = 0
    for name, begin, end in sorted(found, key=lambda header: header[1:]):
        if begin >= last:
            yield name, begin, end
            last = end


def _line_headers(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _AT_LINE_START.finditer(text):
        written = match["known"] or match["capitals"]
        if sum(map(str.isalpha, written)) > 1:
            yield _name_of(written), match.start(), match.end()


def _inline_headers(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _INLINE.finditer(text):
        before = text[max(0, match.start() - 4) : match.start()].rstrip(" \t")
        behind_sentence = not before or before[-1] in _SENTENCE_END
        if behind_sentence or match["known"].isupper():
            yield _name_of(match["known"]), match.start(), match.end()


def _bare_headers(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _BARE.finditer(text):
        yield _name_of(match["known"]), match.start("known"), match.end("known")


def _name_of(written: str) -> str:
    """The section's one name for a header as it is written."""
    plain = " ".join(written.lower().split())
    if plain in _NAMES:
        return _NAMES[plain]
    capitals = plain.upper()
    return next((_TELLING[word] for word in re.findall(r"[A-Z]+", capitals) if word in _TELLING), capitals)


def _trimmed(text: str, name: str, start: int, end: int) -> Iterator[Section]:
    """The stretch without the blanks around it; nothing if it is blank and has no name."""
    body = text[start:end]
    left = start + len(body) - len(body.lstrip())
    if body.strip():
        yield Section(name, left, start + len(body.rstrip()))
    elif name:
        yield Section(name, start, start)


def _paragraphs(text: str, section: Section, one_paragraph: Collection[str]) -> Iterator[Section]:
    """The section; or its first paragraph and, as FINDINGS, the rest."""
    blank = _BLANK_LINE.search(text, section.start, section.end) if section.name in one_paragraph else None
    if blank is None:
        yield section
        return
    yield from _trimmed(text, section.name, section.start, blank.start())
    yield from _trimmed(text, "FINDINGS", blank.end(), section.end)
