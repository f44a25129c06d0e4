"""One thing under two ids: the same file, pixels, note or person in several cases, and on which sides of the splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from medfuse.audit.files import NoteFacts, ScanFacts
from medfuse.audit.finding import Finding, Severity, counted, listed
from medfuse.audit.nearness import ALIKE_NOTES, Signatures, near_scans, resemblance, shingles
from medfuse.case import Case
from medfuse.cohort import Cohort

FEWEST_WORDS = 12  # of a note that is compared; shorter ones are alike by chance
MOST_PATIENTS = 5  # with one note or one header's Patient ID; more of them share a template or a placeholder
_SOME = 2000  # notes signed at a time

WORDS = {
    "duplicate-file": ("the same file", "stands"),
    "duplicate-pixels": ("the same pixels", "stand"),
    "near-duplicate-pixels": ("nearly the same pixels", "stand"),
    "duplicate-note": ("the same note", "stands"),
    "near-duplicate-note": ("nearly the same note", "stands"),
    "same-person": ("the same Patient ID in the DICOM header", "stands"),
    "same-instance": ("the same SOP Instance UID", "stands"),
}
_MERGE = "Give these cases one patient id, or leave all but one out, and draw the splits again (`--fix` does)."


def patients_across_splits(cohort: Cohort) -> list[Finding]:
    """Patients with cases in several splits."""
    sides: dict[str, set[str]] = defaultdict(set)
    held: dict[str, list[Case]] = defaultdict(list)
    for case in cohort.cases:
        if case.split is not None:
            sides[case.patient_id].add(case.split)
            held[case.patient_id].append(case)
    torn = [held[patient] for patient, splits in sides.items() if len(splits) > 1]
    if not torn:
        return []
    return [
        Finding(
            "patient-across-splits",
            "error",
            f"{counted(len(torn), 'patient')} stand{'s' if len(torn) == 1 else ''} in several splits, so what is "
            "measured on held-out cases is not held out.",
            listed([", ".join(f"{case.case_id} ({case.split})" for case in cases[:8]) for cases in torn]),
            "Draw the splits again by patient: `medfuse split` (`--fix` does).",
            about=tuple(tuple(case.case_id for case in cases) for cases in torn),
        )
    ]


def scan_duplicates(cohort: Cohort, scans: Sequence[ScanFacts], root: Path) -> list[Finding]:
    """Scans that several cases share, most exact kind first; what one kind tells, the next does not tell again."""
    told: set[frozenset[int]] = set()
    findings = []
    for check, key in (("duplicate-file", "file"), ("duplicate-pixels", "pixels"), ("same-instance", "instance")):
        groups: dict[str, list[ScanFacts]] = defaultdict(list)
        for scan in scans:
            if getattr(scan, key):
                groups[getattr(scan, key)].append(scan)
        findings += _findings(check, cohort, list(groups.values()), told)
    findings += _label_conflicts(cohort, scans)
    findings += _same_person(cohort, scans)
    findings += _near_scans(cohort, scans, root, told)
    return findings


def note_duplicates(cohort: Cohort, notes: Iterable[NoteFacts]) -> tuple[list[Finding], list[NoteFacts]]:
    """Notes that several cases share, and the facts of every note without its text."""
    facts: list[NoteFacts] = []
    first: dict[bytes, NoteFacts] = {}
    same: dict[bytes, list[NoteFacts]] = {}
    signatures, waiting = Signatures(), list[str]()
    for note in notes:
        words = note.text.lower().split()
        waiting.append(note.text)
        bare = NoteFacts(note.row, note.path, error=note.error)
        facts.append(bare)
        if len(words) >= FEWEST_WORDS:
            digest = hashlib.sha256(" ".join(words).encode("utf-8", "replace")).digest()
            if (one := first.setdefault(digest, bare)) is not bare:
                same.setdefault(digest, [one]).append(bare)
        if len(waiting) == _SOME:
            signatures.add(waiting)
            waiting = []
    if waiting:
        signatures.add(waiting)
    told: set[frozenset[int]] = set()
    findings = _findings("duplicate-note", cohort, list(same.values()), told)
    findings += _near_notes(cohort, facts, signatures, told)
    return findings, facts


def _findings(
    check: str, cohort: Cohort, groups: Sequence[Sequence[ScanFacts | NoteFacts]], told: set[frozenset[int]]
) -> list[Finding]:
    """Findings of groups of files that are one: across splits, under two patients, and within a patient."""
    kinds: dict[str, list[list[ScanFacts | NoteFacts]]] = defaultdict(list)
    for group in groups:
        rows = frozenset(one.row for one in group)
        if len(rows) < 2 or any(rows <= other for other in told):
            continue
        told.add(rows)
        patients = {cohort.cases[row].patient_id for row in rows}
        sides = {cohort.cases[row].split for row in rows} - {None}
        if check in ("duplicate-note", "near-duplicate-note") and len(patients) > MOST_PATIENTS:
            kinds["template"].append(list(group))
        elif len(patients) == 1:
            kinds["one patient"].append(list(group))
        else:
            kinds["splits" if len(sides) > 1 else "patients"].append(list(group))
    what, stands = WORDS[check]
    return [_finding(check, kind, what, stands, found, cohort) for kind, found in kinds.items()]


def _finding(
    check: str, kind: str, what: str, stands: str, groups: list[list[ScanFacts | NoteFacts]], cohort: Cohort
) -> Finding:
    severity: Severity = {"splits": "error", "patients": "warning"}.get(kind, "note")  # type: ignore[assignment]
    where, fix = {
        "splits": ("under two patients on both sides of the splits", _MERGE),
        "patients": ("under two patients", _MERGE),
        "one patient": ("in several cases of one patient", "Nothing, unless the cases were meant to differ."),
        "template": (
            f"under more than {MOST_PATIENTS} patients each: a template",
            "Check that these notes say something of their patient.",
        ),
    }[kind]
    lines = []
    for group in groups:
        each = list(dict.fromkeys((one.row, one.path) for one in group))[:6]
        lines.append(", ".join(_told(cohort.cases[row], path) for row, path in each))
    number = "once" if len(groups) == 1 else f"{len(groups):,} times"
    about = tuple(tuple(dict.fromkeys(cohort.cases[one.row].case_id for one in group)) for group in groups)
    sentence = f"{what} {stands} {where}, {number}."
    return Finding(
        check, severity, sentence[0].upper() + sentence[1:], listed(lines), fix, {"groups": len(groups)}, about
    )


def _told(case: Case, path: str) -> str:
    return f"{case.case_id} [{path}{f', {case.split}' if case.split else ''}]"


def _label_conflicts(cohort: Cohort, scans: Sequence[ScanFacts]) -> list[Finding]:
    rows: dict[str, set[int]] = defaultdict(set)
    for scan in scans:
        if scan.pixels:
            rows[scan.pixels].add(scan.row)
    lines, about = [], []
    for members in map(sorted, rows.values()):
        for label in cohort.labels if len(members) > 1 else ():
            values = {cohort.cases[row].labels.get(label) for row in members} - {None}
            if len(values) > 1:
                ids = [cohort.cases[row].case_id for row in members]
                lines.append(f"{label}: {', '.join(ids[:6])}")
                about.append((label, *ids))
    if not lines:
        return []
    return [
        Finding(
            "label-conflict",
            "error",
            f"The same pixels have different labels, {counted(len(lines), 'time')}; one of the labels is wrong.",
            listed(lines),
            "Look the labels up and correct them (`--fix` leaves them blank).",
            about=tuple(about),
        )
    ]


def _same_person(cohort: Cohort, scans: Sequence[ScanFacts]) -> list[Finding]:
    groups: dict[str, list[ScanFacts]] = defaultdict(list)
    for scan in scans:
        if scan.person:
            groups[scan.person].append(scan)
    several = []
    for group in groups.values():
        patients = {cohort.cases[scan.row].patient_id for scan in group}
        if 1 < len(patients) <= MOST_PATIENTS:
            several.append(group)
    return [finding for finding in _findings("same-person", cohort, several, set()) if finding.severity != "note"]


def _near_scans(cohort: Cohort, scans: Sequence[ScanFacts], root: Path, told: set[frozenset[int]]) -> list[Finding]:
    first_of: dict[str, ScanFacts] = {}
    for scan in scans:
        if scan.thumbnail is not None:
            first_of.setdefault(scan.pixels, scan)
    compared = list(first_of.values())
    thumbnails = [scan.thumbnail for scan in compared if scan.thumbnail is not None]
    pairs, unread = near_scans(thumbnails, [root / scan.path for scan in compared])
    groups = [[compared[first], compared[second]] for first, second, _ in pairs]
    findings = _findings("near-duplicate-pixels", cohort, groups, told)
    if unread:
        what = f"{unread:,} pairs of scans are alike from afar and were not compared in full, being too many."
        findings.append(Finding("near-duplicate-pixels", "note", what))
    return findings


def _near_notes(
    cohort: Cohort, facts: Sequence[NoteFacts], signatures: Signatures, told: set[frozenset[int]]
) -> list[Finding]:
    from medfuse.audit.files import text_of
    from medfuse.case import Note

    root = cohort.folder.resolve()
    groups: dict[int, list[NoteFacts]] = {}
    for first, second in signatures.pairs():
        rows = frozenset((facts[first].row, facts[second].row))
        if len(rows) == 2 and rows not in told:
            texts = [shingles(text_of(Note(root / facts[one].path))) for one in (first, second)]
            if resemblance(*texts) >= ALIKE_NOTES:
                groups.setdefault(first, [facts[first]]).append(facts[second])
    return _findings("near-duplicate-note", cohort, list(groups.values()), told)
