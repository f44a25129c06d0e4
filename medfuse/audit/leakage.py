"""Labels that can be read from the notes: measured section by section, with the terms that give them away."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.audit.finding import Finding, Severity, counted, worst
from medfuse.audit.measure import FEWEST, NEARLY_ALWAYS, Reading, measurable, read_by_words
from medfuse.audit.sample import Sample
from medfuse.audit.telling import ANY, PURE, Telling, telling_words, words_by_kind
from medfuse.case import Case
from medfuse.errors import NoteError
from medfuse.notes import OUTCOME_SECTIONS, read_note
from medfuse.notes.redaction import TOKEN

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray

NO_HEADER = "text without a header"
PATIENTS = 5  # who use a term before it is listed: no name of one person gets into a report
FALSE = 0.05  # share of listed terms that may be there by chance
MUCH = 0.8  # least AUROC, at the lower end of its interval, from which notes read a label suspiciously well
MOST_TERMS = 12  # listed for a label
_MOST_WORDS = 20_000  # columns of a model
_TERM = r"(?u)\b[^\W_]{2,}\b"
_NUMBER = re.compile(r"\d{5,}")  # a record or telephone number rather than a word


@dataclass(frozen=True, slots=True)
class Term:
    """A term that goes with a label.

    Attributes:
        text: One word or two.
        positive: Patients with the term whose case has the label.
        patients: Patients with the term.
        auroc: Of the term alone: present or not.
        sure: Whether a patient with it is nearly always on one side.
    """

    text: str
    positive: int
    patients: int
    auroc: float
    sure: bool

    def __str__(self) -> str:
        side = f"{self.positive} of {self.patients} patients with it have the label"
        return f"“{self.text}”: {side}, AUROC of the term alone {self.auroc:.2f}"


def read_from_notes(sample: Sample) -> list[Finding]:
    """One finding a label: how well each section reads it, which terms do, and what is left without them."""
    if not len(sample.folds):
        return []
    sections = _sections(sample.cases)
    measured: dict[str, list[tuple[Reading, list[Term], Reading | None]]] = defaultdict(list)
    for section, texts in sections.items():
        rows = np.array(sorted(texts))
        words, names = _words([texts[row] for row in rows], sample.patients[rows])
        if words is None:
            continue
        for label, truth in sample.truth.items():
            known = ~np.isnan(truth[rows])
            if not measurable(truth[rows][known], sample.patients[rows][known]):
                continue
            part = rows[known]
            given = (truth[part], sample.patients[part], sample.folds[part])
            reading = read_by_words(section, words[known], *given)
            terms = _terms(words[known], names, truth[part], sample.patients[part], either=len(sample.truth) < 3)
            without = None
            if sure := [term for term in terms if term.sure]:
                kept = ~_holds(names, sure)
                without = read_by_words(f"{section} without these", words[known][:, kept], *given)
            measured[label].append((reading, terms, without))
    told = _told(measured, sample, sections)
    measurements = sum(map(len, measured.values()))
    findings = [_finding(label, found, told[label], measurements) for label, found in measured.items()]
    if missing := [label for label in sample.truth if label not in measured and sections]:
        what = (
            f"Whether notes give away {', '.join(missing)} was not measured: fewer than {FEWEST} patients with a note "
            "on one of the sides."
        )
        findings.append(Finding("label-in-notes", "note", what))
    return findings


def _sections(cases: tuple[Case, ...]) -> dict[str, dict[int, str]]:
    """The text of each section by the case's row in the sample."""
    found: dict[str, dict[int, str]] = defaultdict(dict)
    for row, case in enumerate(cases):
        for note in case.notes:
            try:
                read = note if note.text is not None or note.path is None else read_note(note.path)
            except NoteError:
                continue
            for section in read.sections:
                text = (read.text or "")[section.start : section.end].replace(TOKEN, " ")
                name = section.name or NO_HEADER
                if text.strip():
                    found[name][row] = f"{found[name].get(row, '')}\n{text}"
    return found


def _told(labels: Iterable[str], sample: Sample, sections: dict[str, dict[int, str]]) -> dict[str, list[Telling]]:
    """What words that are written when the answer is known tell, outside of sections that are off by default."""
    joined: dict[int, str] = {}
    for section, texts in sections.items():
        if section not in OUTCOME_SECTIONS:
            for row, text in texts.items():
                joined[row] = f"{joined.get(row, '')}\n{text}"
    every = np.array(sorted(joined), dtype=int)
    kinds = words_by_kind([joined[row] for row in every])
    told = {}
    for label in labels:
        known = np.flatnonzero(~np.isnan(sample.truth[label][every]))
        rows = every[known]
        hits = {kind: [found[place] for place in known] for kind, found in kinds.items()}
        written = [joined[row] for row in rows]
        told[label] = telling_words(label, written, hits, sample.truth[label][rows], sample.patients[rows])
    return told


def _words(texts: list[str], patients: Int[ndarray, " n"]) -> tuple[Any, ndarray]:
    """Which words and pairs of words each text has, those of at least `PATIENTS` patients; None if there are none."""
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(
        binary=True, ngram_range=(1, 2), token_pattern=_TERM, max_features=_MOST_WORDS, dtype=np.float64
    )
    try:
        words = counter.fit_transform(texts)
    except ValueError:  # no word in any text
        return None, np.array([])
    names = counter.get_feature_names_out()
    enough = _by_patient(words, patients).sum(axis=0) >= PATIENTS
    plain = np.array([not _NUMBER.search(name) for name in names])
    kept = enough & plain
    return (words[:, kept].tocsr(), names[kept]) if kept.any() else (None, names)


def _by_patient(words: Any, patients: Int[ndarray, " n"]) -> Any:
    """Which patients have each word [P, W], as 0 and 1; of a dense matrix column sums alone are needed."""
    from scipy.sparse import csr_array

    _, member = np.unique(patients, return_inverse=True)
    owner = csr_array((np.ones(len(member)), (member, np.arange(len(member)))))
    joined = owner @ words
    joined.data[:] = 1
    return joined


def _terms(
    words: Any, names: ndarray, truth: Float[ndarray, " n"], patients: Int[ndarray, " n"], *, either: bool
) -> list[Term]:
    """Terms that go with the label beyond chance, by Fisher's exact test over patients.

    A patient whose cases differ in the label counts on both sides. Of the terms listed a twentieth is expected to be
    chance (Benjamini & Hochberg 1995, J. R. Statist. Soc. B 57:289-300). With `either` a term that rules the label out
    is sure too; among many labels every term of another one does.
    """
    from scipy.stats import false_discovery_control, hypergeom
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    unit = patients * 2 + truth.astype(int)
    has = _by_patient(words, unit)
    sides = np.unique(unit) % 2 == 1
    n, n_positive = len(sides), int(sides.sum())
    total = np.asarray(has.sum(axis=0)).ravel()
    positive = np.asarray(has[sides].sum(axis=0)).ravel()
    over = hypergeom.sf(positive - 1, n, n_positive, total)
    under = hypergeom.cdf(positive, n, n_positive, total)
    chance = false_discovery_control(np.clip(2 * np.minimum(over, under), 0, 1))
    auroc = 0.5 + 0.5 * (positive / n_positive - (total - positive) / max(1, n - n_positive))
    found: list[Term] = []
    for column in np.argsort(-np.abs(auroc - 0.5), kind="stable"):
        if chance[column] >= FALSE or total[column] < PATIENTS:
            continue
        name = str(names[column])
        if set(name.split()) <= ENGLISH_STOP_WORDS:
            continue
        if any(set(term.text.split()) & set(name.split()) for term in found):
            continue  # a pair with a word that is listed says the same again
        share = positive[column] / total[column]
        sure = (max(share, 1 - share) if either else share) >= PURE
        found.append(Term(name, int(positive[column]), int(total[column]), float(auroc[column]), bool(sure)))
        if len(found) == MOST_TERMS:
            break
    return found


def _holds(names: ndarray, terms: list[Term]) -> Bool[ndarray, " w"]:
    """Which columns have a word of one of the terms."""
    gone = {word for term in terms for word in term.text.split()}
    return np.array([bool(gone & set(name.split())) for name in names])


def _finding(
    label: str,
    measured: list[tuple[Reading, list[Term], Reading | None]],
    told: list[Telling],
    measurements: int,
) -> Finding:
    severity: Severity = "warning" if any(telling.suspect for telling in told) else "note"
    if any(telling.leaks for telling in told):
        severity = "error"
    lines: list[str] = []
    figures: dict[str, Any] = {}
    doubtful = [word for telling in told if telling.leaks or telling.suspect for word in telling.words]
    for reading, terms, without in sorted(measured, key=lambda one: -one[0].auroc):
        off = reading.name in OUTCOME_SECTIONS
        certain = reading.above_chance(measurements)
        if not off:
            if certain and reading.low >= MUCH:
                severity = worst(severity, "error" if reading.low >= NEARLY_ALWAYS else "warning")
            doubtful += [term.text for term in terms if term.sure]
        beyond = "" if certain else ", no more than chance gives"
        aside = ", left out of a model's input by default" if off else ""
        counts = f"{counted(reading.positive, 'case')} with and {reading.negative:,} without"
        lines.append(f"{reading}, {counts}{beyond}{aside}")
        figures[reading.name] = reading.figure
        if without is not None:
            lines.append(f"{without}: what the sure terms carry is {reading.auroc - without.auroc:+.3f}")
            figures[without.name] = without.figure
        lines += map(str, terms)
    lines += map(str, told)
    figures |= {f"words of {telling.kind}": telling.auroc for telling in told}
    best = max((one[0] for one in measured), key=lambda reading: reading.auroc)
    what = f"Notes read {label} with an AUROC of {best.auroc:.3f} ({best.low:.3f} to {best.high:.3f}, {best.name})"
    what += "." if best.above_chance(measurements) else ", no more than chance gives."
    grave = [telling for telling in told if (telling.leaks if severity == "error" else telling.suspect)]
    if grave:
        worst_of_all = max(grave, key=lambda telling: abs(telling.auroc - 0.5))
        kind = f"words of {worst_of_all.kind}" if worst_of_all.kind != ANY else "words written when the answer is known"
        may = "" if severity == "error" else "may "
        what = f"Notes {may}give {label} away: {kind} alone have an AUROC of {worst_of_all.auroc:.2f}. {what}"
    elif severity == "note":
        what = f"Nothing in the notes gives {label} away. {what}"
    fix = ""
    if severity != "note":
        fix = "Decide for each term whether it was known when the case is to be classified, and redact what was not"
        fix += (
            f": {', '.join(dict.fromkeys(doubtful))}." if doubtful else ", or exclude a section (`exclude_sections`)."
        )
    return Finding("label-in-notes", severity, what, tuple(lines), fix, figures, ((label,),))
