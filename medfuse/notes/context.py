"""What a note denies, doubts, remembers, fears or says of others: the ConText algorithm, with its lexicon.

Sources: W. W. Chapman, W. Bridewell, P. Hanbury, G. F. Cooper, B. G. Buchanan: A simple algorithm for identifying
negated findings and diseases in discharge summaries. Journal of Biomedical Informatics 34:301-310, 2001 (NegEx);
H. Harkema, J. N. Dowling, T. Thornblade, W. W. Chapman: ConText: An algorithm for determining negation, experiencer,
and temporal status from clinical reports. Journal of Biomedical Informatics 42:839-851, 2009, section 3. The terms are
those that its authors published with it (github.com/chapmanbe/negex, Apache-2.0). Ours are: the cues of `possible`
beyond ruling out, after B. E. Chapman et al., Journal of Biomedical Informatics 44:728-737, 2011; `absent`, `not seen`
and the like behind a finding; and that what is evaluated or tested for is possible here, where NegEx has it denied.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Literal

from medfuse.case import Note

Status = Literal["negated", "possible", "historical", "hypothetical", "other"]
Role = Literal["before", "after", "word", "both", "pseudo", "stop"]

# [a|b] stands for either, [|a] for a or nothing. `before` stands before what it is said of and reaches to the end of
# the sentence, `after` behind it, `word` reaches one word, `pseudo` only looks like a cue, `stop` ends a reach.
_WHOM = "[|him|her|the patient]"
_OUT = f"{_WHOM} out [|for|against]"
_TERMS: dict[tuple[Status, Role], str] = {
    ("negated", "pseudo"): """
        no increase; no [|suspicious|significant|interval|definite|significant interval] change; gram negative
        not [extend|cause|drain|necessarily|only|certain if|certain whether]; without difficulty""",
    ("negated", "before"): f"""
        absence of; cannot [|see]; declined; declines; denied; denies; denying; fails to reveal; free of; negative for
        never [developed|had]; no; no abnormal; no cause of; no complaints of; no [|new|other] evidence [|of|to suggest]
        no findings [of|to indicate]; no [mammographic|radiographic] evidence of; no new; no [sign|signs] of
        no significant; no suggestion of; no suspicious; not; not [appear|appreciate|associated with|complain of]
        not [demonstrate|exhibit|feel|had|have|know of|known to have|reveal|see|to be]; patient was not
        rather than; resolved; unremarkable for; with no; without
        without [any evidence of|evidence|indication of|sign of]
        rules {_OUT}; ruled {_OUT}
        [did|can|adequate to|sufficient to] rule {_OUT}""",
    ("negated", "after"): """
        unlikely; free; [was|is|are|have been|has been] ruled out; [is|are|was|were|] absent
        [is|are|was|were|] not [seen|identified|present|visualized|demonstrated]""",
    ("negated", "stop"): """
        but; however; nevertheless; yet; though; although; still; aside from; except; apart from; secondary to
        [|as the|as a|as an] [|secondary] [cause|source|reason|etiology|origin] [of|for]
        [causes|sources|reasons] [of|for]; origins [of|for]; trigger event for; other possibilities of""",
    ("possible", "before"): f"""
        rule {_WHOM} out [|for]; r/o; [|should|ought to|may|might|could|will|can|must|is to] be ruled out for
        what must be ruled out is; possible; possibly; probable; probably; likely; suspicious for; suspected
        suspicion [of|for]; suggestive of; suggesting; suggests; concerning for; concern for; question of; questionable
        [may|might|could] [be|represent|reflect]; cannot [exclude|rule out]; checked for; evaluate for; test for
        to exclude""",
    ("possible", "after"): """
        did not rule out; not [|been] ruled out; being ruled out
        [|should|ought to|may|might|could|will|can|must|is to|cannot] be ruled out
        cannot be excluded; not excluded; is [possible|probable|suspected|likely|questioned]""",
    ("historical", "pseudo"): """
        history and physical; history, physical; history taking; poor history; history and examination
        history of chief complaint; history of present illness; social history; clinical history; patient history
        day history of; by his wife; by her husband; if negative; history from
        history, and; history and; know if; detailed history; family history""",
    ("historical", "before"): "history; hx; h/o; known to have; in the past for",
    ("historical", "word"): "pre-existing; status post; s/p; prior; previous",
    ("historical", "stop"): """
        sudden onset of; presented; presents; presenting; complains; complaining; coming in with; comes in with
        was found; states; reports; reported; currently; today; noted; consistent with; emergency department; recent""",
    ("hypothetical", "pseudo"): "by his wife; by her husband; if negative; know if",
    ("hypothetical", "before"): """
        if; return; returning; should [he|she|there|the]; call; as needed; come back [for|to]; look out for""",
    ("hypothetical", "stop"): "diagnosis; patient; who; his; her; patient's; since; because",
    ("other", "pseudo"): "by his wife; by her husband",
    ("other", "before"): """
        [family|fam] [history|hx]; family
        [aunt|brother|dad|father|grandfather|grandmother|mom|mother|sister|uncle] [|'s]""",
    ("other", "stop"): "patient; patient's; who; his; her",
}
_PROPERTY: dict[Status, str] = {
    "negated": "negation", "possible": "negation", "historical": "temporality", "hypothetical": "condition",
    "other": "experiencer",
}  # fmt: skip
_COUNT = r"(?:[2-9]|\d{2,3}|two|three|four|five|six|seven|eight|nine|ten|several|many|few)"
# A condition that began two weeks or more ago is historical (2009, section 2).
_SPAN = (
    rf"(?:for|over|in)[ ](?:(?:the[ ])?(?:past|last)[ ])?(?:a[ ])?{_COUNT}[ ](?:weeks|months|years)"
    rf"|(?:for|over|in)[ ](?:the[ ])?(?:past|last)[ ](?:month|year)|{_COUNT}[ ](?:weeks|months|years)[ ]ago"
)
_SENTENCE_END = re.compile(
    r"(?<![ .]Dr)(?<![ .]Mr)(?<![ .]Ms)(?<!Mrs)(?<![ .]vs)(?<![ .]pt)[.!?;](?=\s|$)|\n[ \t]*(?=\n|[-*•]|\d{1,2}[.)]\s)",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"\A[\s,:-]+")
# Whole sections of one status ("if the trigger term is a section heading").
_SECTIONS: dict[str, Status] = {
    "PAST MEDICAL HISTORY": "historical",
    "SURGICAL HISTORY": "historical",
    "FAMILY HISTORY": "other",
}


@dataclass(frozen=True, slots=True)
class Assertion:
    """A stretch of a note that is not simply so: `note.text[start:end]`.

    Attributes:
        status: `negated` (is not), `possible` (may be), `historical` (was), `hypothetical` (may come), or `other`
            (not the patient's own).
        start: Where the stretch begins.
        end: Where it ends.
        cue: Start and end of the words that say so; of a section's status, the section itself.
    """

    status: Status
    start: int
    end: int
    cue: tuple[int, int]


def assertions(note: Note) -> tuple[Assertion, ...]:
    """Every stretch that a cue reaches, in order of the stretches; the time is linear in the text.

    These are the spans to show over `note.text`: each has its status, where it stands, and where its cue does. Spans
    may overlap; `statuses` joins what is said of one place. `text.assertions` of the config makes words of them for a
    model (`notes/model_text.py`).

    Example:
        >>> from medfuse.notes import note_from_text
        >>> note = note_from_text("FINDINGS: No effusion, but possible pneumonia.")
        >>> [(found.status, note.text[found.start : found.end]) for found in assertions(note)]
        [('negated', 'effusion,'), ('possible', 'pneumonia')]
    """
    text = note.text or ""
    found: list[Assertion] = []
    for section in note.sections:
        if (status := _SECTIONS.get(section.name)) and section.end > section.start:
            found.append(Assertion(status, section.start, section.end, (section.start, section.end)))
        start = section.start
        for mark in _SENTENCE_END.finditer(text, section.start, section.end):
            found.extend(_of_sentence(text, start, mark.start()))
            start = mark.end()
        found.extend(_of_sentence(text, start, section.end))
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.status)))


def statuses(found: Sequence[Assertion], start: int, end: int) -> frozenset[Status]:
    """What is said of a finding at `start:end`; empty if it is simply so, now, and the patient's.

    Example:
        >>> from medfuse.notes import note_from_text
        >>> sorted(statuses(assertions(note_from_text("denied a history of pneumonia")), 20, 29))
        ['historical', 'negated']
    """
    return frozenset(one.status for one in found if one.start < end and start < one.end)


@dataclass(frozen=True, slots=True)
class _Cue:
    start: int
    end: int
    says: tuple[tuple[Status, Role], ...]


def _of_sentence(text: str, start: int, end: int) -> Iterator[Assertion]:
    """What the cues of one sentence reach: forward to the next cue or stop of the same property, backward likewise."""
    cues = [_Cue(match.start(), match.end(), _says(match.group())) for match in _pattern().finditer(text, start, end)]
    reach: dict[str, int] = {}  # where the next cue or stop of a property begins
    for cue in reversed(cues):
        for status, role in cue.says:
            stop = reach.get(_PROPERTY[status], end)
            if role == "word":
                word = re.compile(r"\W*\w+(?:[-']\w+)*").match(text, cue.end, stop)
                stop = word.end() if word else cue.end
            if role in ("before", "both", "word"):
                yield from _reached(text, status, cue.end, stop, cue)
        reach |= {_PROPERTY[status]: cue.start for status, _ in cue.says}
    reach.clear()
    for cue in cues:
        for status, role in cue.says:
            if role in ("after", "both"):
                yield from _reached(text, status, reach.get(_PROPERTY[status], start), cue.start, cue)
        reach |= {_PROPERTY[status]: cue.end for status, _ in cue.says}


def _reached(text: str, status: Status, start: int, end: int, cue: _Cue) -> Iterator[Assertion]:
    """The stretch without the blanks and marks around it, if any word is left."""
    stretch = text[start:end]
    left = start + len(stretch) - len(_BEFORE.sub("", stretch))
    right = start + len(stretch.rstrip())
    if left < right:
        yield Assertion(status, left, right, (cue.start, cue.end))


def _says(written: str) -> tuple[tuple[Status, Role], ...]:
    return _lexicon().get(" ".join(written.lower().split()), (("historical", "both"),))  # else a span of time


@cache
def _lexicon() -> dict[str, tuple[tuple[Status, Role], ...]]:
    """Every term with what it says; where two of one property meet, the first of the table holds."""
    found: dict[str, dict[str, tuple[Status, Role]]] = {}
    for (status, role), terms in _TERMS.items():
        for term in re.split(r"[;\n]", terms):
            parts = [part.split("|") for part in re.findall(r"[^\[\]]+", term)]
            for words in product(*parts):
                written = " ".join(" ".join(words).split()).replace(" 's", "'s")
                if written:
                    found.setdefault(written, {}).setdefault(_PROPERTY[status], (status, role))
    return {written: tuple(says.values()) for written, says in found.items()}


@cache
def _pattern() -> re.Pattern[str]:
    """Any term as whole words, the longest first; blanks and line ends within it may be several."""
    terms = sorted(_lexicon(), key=len, reverse=True)
    either = "|".join(re.escape(term).replace(r"\ ", r"\s{1,8}") for term in terms)
    span = _SPAN.replace("[ ]", r"\s{1,8}")
    return re.compile(rf"(?<![\w/])(?:{span}|{either})(?![\w/]|'s)", re.IGNORECASE)
