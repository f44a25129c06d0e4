"""Sections of English radiology and clinical notes, found by their headers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from medfuse.case import Note, Section

# Headers as they are written, under the name that medfuse gives the section.
HEADERS: dict[str, tuple[str, ...]] = {
    "INDICATION": (
        "indication", "indications", "clinical indication", "clinical indications", "reason for exam",
        "reason for examination", "reason for study", "reason for this examination", "reason for visit",
        "clinical information", "clinical details", "clinical question",
    ),
    "HISTORY": ("history", "clinical history", "clinical hx", "hx", "patient history"),
    "COMPARISON": ("comparison", "comparisons", "compared to", "prior studies"),
    "TECHNIQUE": ("technique", "procedure", "protocol"),
    "EXAMINATION": ("examination", "exam", "study", "examination type"),
    "FINDINGS": ("findings", "finding", "report", "description"),
    "IMPRESSION": ("impression", "impressions", "opinion", "interpretation"),
    "CONCLUSION": ("conclusion", "conclusions", "summary"),
    "RECOMMENDATION": ("recommendation", "recommendations"),
    "CHIEF COMPLAINT": ("chief complaint", "presenting complaint", "cc"),
    "HISTORY OF PRESENT ILLNESS": ("history of present illness", "history of presenting complaint", "hpi", "hpc"),
    "PAST MEDICAL HISTORY": ("past medical history", "medical history", "pmh", "pmhx", "past history"),
    "MEDICATIONS": ("medications", "medication", "current medications", "medications on admission", "meds"),
    "ALLERGIES": ("allergies", "allergy"),
    "SOCIAL HISTORY": ("social history", "social hx"),
    "FAMILY HISTORY": ("family history", "family hx"),
    "PHYSICAL EXAM": ("physical exam", "physical examination", "on examination", "o/e"),
    "VITALS": ("vitals", "vital signs", "observations", "obs"),
    "LABS": ("labs", "laboratory", "laboratory data", "laboratory results", "pertinent results", "bloods"),
    "ASSESSMENT": ("assessment", "assessment and plan", "assessment/plan", "a/p", "diagnosis", "final diagnosis"),
    "PLAN": ("plan",),
    "HOSPITAL COURSE": ("hospital course", "brief hospital course", "course"),
    "DISCHARGE DIAGNOSIS": ("discharge diagnosis", "discharge diagnoses"),
}  # fmt: skip

# Sections written once the image was read or the answer known: off by default as a model's input.
OUTCOME_SECTIONS = (
    "FINDINGS", "IMPRESSION", "CONCLUSION", "RECOMMENDATION", "DISCHARGE DIAGNOSIS", "ASSESSMENT", "HOSPITAL COURSE",
)  # fmt: skip

_NAMES = {written: name for name, all_written in HEADERS.items() for written in all_written}
_KNOWN = "|".join(re.escape(written).replace(r"\ ", r"[ ]{1,3}") for written in sorted(_NAMES, key=len, reverse=True))
# At the start of a line, numbered or not, with a colon or alone on the line; or inline after a sentence, with a colon.
_HEADER = re.compile(
    rf"""
      ^[ \t]{{0,8}}(?:\#{{1,3}}[ ]?|\d{{1,2}}[.)][ \t]{{0,4}}|\*{{1,2}})?
          (?: (?P<start>{_KNOWN})\*{{0,2}} (?: [ \t]{{0,4}}:\*{{0,2}} | [ \t]{{0,8}}$ )
            | (?P<capitals>[A-Z][A-Z/&-]{{2,20}}(?:[ ][A-Z/&-]{{2,20}}){{0,4}}) [ \t]{{0,4}}: )
    | (?<=[.;!?])[ \t]{{1,4}}(?P<inline>{_KNOWN})[ \t]{{0,2}}:
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)


def find_sections(text: str) -> tuple[Section, ...]:
    """The sections of a note in order; together they cover its text but for headers and blank stretches.

    Example:
        >>> [(s.name, "cough. FINDINGS: clear."[s.start : s.end]) for s in find_sections("cough. FINDINGS: clear.")]
        [('', 'cough.'), ('FINDINGS', 'clear.')]
    """
    sections: list[Section] = []
    name, start = "", 0
    for header, begin, end in _headers(text):
        sections.extend(_trimmed(text, name, start, begin))
        name, start = header, end
    sections.extend(_trimmed(text, name, start, len(text)))
    return tuple(sections)


def select(note: Note, *, exclude: Collection[str]) -> str:
    """The text that a model may read: the sections that are not excluded, each behind its name.

    The name goes with the text because it says how the text is meant: "HISTORY: smoker" is not "INDICATION: smoker".

    Args:
        note: A note that was read.
        exclude: Names of sections, in capitals.
    """
    text = note.text or ""
    kept = []
    for section in note.sections:
        if section.name not in exclude:
            body = text[section.start : section.end]
            kept.append(f"{section.name}: {body}" if section.name else body)
    return "\n".join(kept)


def _headers(text: str) -> Iterator[tuple[str, int, int]]:
    for match in _HEADER.finditer(text):
        written = match["start"] or match["inline"]
        if written:
            yield _NAMES[" ".join(written.lower().split())], match.start(), match.end()
        elif match["capitals"].isupper():  # IGNORECASE lets small letters match; only capitals are a header
            yield match["capitals"], match.start(), match.end()


def _trimmed(text: str, name: str, start: int, end: int) -> Iterator[Section]:
    body = text[start:end]
    left = len(body) - len(body.lstrip())
    if body.strip():
        yield Section(name, start + left, start + len(body.rstrip()))
