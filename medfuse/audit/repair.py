"""A corrected cohort beside the old one: what a machine may mend, and a list of what it did."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from medfuse.audit.audit import Audit
from medfuse.audit.finding import Finding, counted
from medfuse.case import SPLITS, Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers.linking import linked_patients
from medfuse.splits import split_by_patient

MERGED = ("duplicate-file", "duplicate-pixels", "near-duplicate-pixels", "duplicate-note", "near-duplicate-note",
          "same-person", "same-instance")  # fmt: skip
BLANKED = ("value-impossible", "date-impossible")
REDRAWN = ("patient-across-splits", "splits-changed", "split-missing")
DONE = "FIXED.md"


def repair(cohort: Cohort, found: Audit, out: str | Path, *, seed: int = 0) -> list[str]:
    """Write a corrected cohort; the old one stays as it is.

    Cases that share a file, pixels, a note or a header's Patient ID get one patient id; unreadable files are taken
    out, and with them cases that have nothing else; impossible values and dates, and labels that contradict each
    other on the same pixels, are left blank; splits are drawn anew by patient if a patient stands in several.
    Notes are not changed: whether a term was known at the time is for a person to say.

    Args:
        cohort: The cohort that was audited.
        found: What the audit found in it.
        out: The folder to make; it must not exist, or be empty.
        seed: Of the splits, if they are drawn.

    Returns:
        What was done, one line each; `FIXED.md` in the folder holds them too.

    Raises:
        CohortError: If the folder is not free, or lies inside the cohort.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"{out}: already there; choose another folder or remove it first"
        raise CohortError(message)
    if out.resolve().is_relative_to(cohort.folder.resolve()):
        message = f"{out}: lies inside the cohort that is to be corrected; name a folder beside it"
        raise CohortError(message)
    done: list[str] = []
    cases = _without_unreadable(cohort, _of(found, ("unreadable",)), done)
    cases = _blanked(cases, _of(found, BLANKED), done)
    cases = _unlabelled(cases, _of(found, ("label-conflict",)), done)
    cases, merged = _merged(cases, _of(found, MERGED), done)
    fixed = replace(cohort, cases=tuple(cases), problems=())
    torn = any(finding.check in REDRAWN for finding in found.findings) or _torn(cases)
    if torn and len({case.patient_id for case in cases}) < len(SPLITS):
        fixed = replace(fixed, cases=tuple(replace(case, split=None) for case in cases), splits={})
        done.append("splits taken out: too few patients are left to draw them anew")
    elif torn and any(case.split for case in cohort.cases):
        fixed = fixed.in_splits(split_by_patient(fixed.cases, seed=seed), by="patient", seed=seed)
        done.append(f"splits drawn anew by patient (seed {seed}), recorded in cohort.yaml")
    elif len(cases) < len(cohort.cases) or merged:
        kept = {case.case_id: case.split for case in fixed.cases}
        if cohort.splits and all(kept.values()):
            how = {key: value for key, value in cohort.splits.items() if key != "digest"}
            fixed = fixed.in_splits([split for split in kept.values() if split is not None], **how)
    _write(fixed, cohort.folder, out, done)
    return done


def _of(found: Audit, checks: Sequence[str]) -> list[Finding]:
    return [finding for finding in found.findings if finding.check in checks]


def _without_unreadable(cohort: Cohort, findings: Iterable[Finding], done: list[str]) -> list[Case]:
    root = cohort.folder.resolve()
    lost = {(case_id, os.path.normpath(root / path)) for f in findings for case_id, path in f.about}
    if not lost:
        return list(cohort.cases)
    kept = []
    for case in cohort.cases:
        scans = tuple(scan for scan in case.scans if (case.case_id, str(scan.path)) not in lost)
        notes = tuple(note for note in case.notes if (case.case_id, str(note.path)) not in lost)
        emptied = (case.scans or case.notes) and not (scans or notes)
        if emptied:
            done.append(f"case {case.case_id} left out: nothing of it can be read")
        else:
            kept.append(replace(case, scans=scans, notes=notes))
    done.append(f"{counted(len(lost), 'unreadable file')} taken out of the table")
    return kept


def _blanked(cases: list[Case], findings: Iterable[Finding], done: list[str]) -> list[Case]:
    blank: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        for case_id, column in finding.about:
            blank[case_id].add(column)
    for place, case in enumerate(cases):
        if columns := blank.get(case.case_id):
            values = {name: None if name in columns else value for name, value in case.values.items()}
            cases[place] = replace(case, values=values, time=None if "time" in columns else case.time)
            done.append(f"case {case.case_id}: {', '.join(sorted(columns))} left blank")
    return cases


def _unlabelled(cases: list[Case], findings: Iterable[Finding], done: list[str]) -> list[Case]:
    blank: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        for label, *ids in finding.about:
            for case_id in ids:
                blank[case_id].add(label)
    for place, case in enumerate(cases):
        if labels := blank.get(case.case_id):
            known = {name: None if name in labels else value for name, value in case.labels.items()}
            cases[place] = replace(case, labels=known)
            done.append(f"case {case.case_id}: label {', '.join(sorted(labels))} left blank, its copies contradict it")
    return cases


def _merged(cases: list[Case], findings: Iterable[Finding], done: list[str]) -> tuple[list[Case], bool]:
    """Cases with one patient id for all whose files say that they are one person's."""
    owner = {case.case_id: case.patient_id for case in cases}
    pairs = [(patient, f"patient {patient}") for patient in owner.values()]
    number = 0
    for finding in findings:
        if finding.severity != "note":  # a note is of one patient, or a template
            for group in finding.about:
                number += 1
                pairs += [(owner[case_id], f"group {number}") for case_id in group if case_id in owner]
    linked = linked_patients(pairs)
    changed = {patient for patient, name in linked.items() if name != patient}
    if changed:
        names = {linked[patient] for patient in changed}
        done.append(f"{counted(len(changed), 'patient')} merged into {len(names)}, who share files with each other")
    return [replace(case, patient_id=linked[case.patient_id]) for case in cases], bool(changed)


def _torn(cases: Iterable[Case]) -> bool:
    sides: dict[str, str | None] = {}
    return any(sides.setdefault(case.patient_id, case.split) != case.split for case in cases)


def _write(cohort: Cohort, source: Path, out: Path, done: list[str]) -> None:
    root = source.resolve()
    partial = out.with_name(out.name + ".fixing.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        cases = []
        for case in cohort.cases:
            scans = tuple(Scan(_placed(scan.path, root, partial)) for scan in case.scans)
            notes = tuple(Note(_placed(note.path, root, partial)) for note in case.notes if note.path)
            cases.append(replace(case, scans=scans, notes=notes))
        replace(cohort, folder=partial, cases=tuple(cases)).save()
        if (source / "truth.csv").exists():
            _placed(root / "truth.csv", root, partial)
        lines = "".join(f"- {line}\n" for line in done) or "- nothing\n"
        (partial / DONE).write_text(f"# What `medfuse audit --fix` did\n\n{lines}", encoding="utf-8")
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _placed(path: Path, root: Path, out: Path) -> Path:
    """The file at the same place under `out`, as a hard link where that works; its path relative to it."""
    relative = path.relative_to(root)
    target = out / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, target, dirs_exist_ok=True)
    elif not target.exists():
        try:
            os.link(path, target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(path, target)
    return relative
