"""A whole cohort: new names for patients, cases and files; scans and notes each cleaned; a report."""

from __future__ import annotations

import os
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.deidentify.dicom import KEEPABLE
from medfuse.deidentify.note import clean_note, moved_time, names_in_note
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.deidentify.scan import Rules, clean_scan, names_in_scan
from medfuse.deidentify.text import OLDEST, Screen
from medfuse.errors import CohortError, NoteError, ScanError

REPORT = "DEIDENTIFICATION.md"
PROMISES = """\
## What this cannot promise

- Names that stand only in free text, without a title, a header or a known name beside them, are not found. The screen
  knows the names of the DICOM headers and FHIR resources of the same patient, the ids of the table, and patterns; it
  does not read.
- Text in the pixels is not read. Scans whose header or device speaks for burned-in text are listed below; look at them,
  and at a sample of the others.
- A face can be told from a CT or MR of the head, a person from rare findings or from values together. Whoever has other
  data on the patients may find them.
- Group columns (a site, a source) are kept and may name a hospital; labels and numbers are kept as they are, but ages
  above {oldest}.
- Times of day are kept; dates are moved by one number of days a patient, so that intervals hold.

Whether the data may leave the house is for a person to decide who has looked at them.
"""


@dataclass(frozen=True)
class Deidentified:
    """What was done.

    Attributes:
        cohort: The new cohort.
        replaced: How many of each kind the notes and cells had.
        burned_in: Files whose pixels may hold text, by new name, each with the reason.
        blanked: How many scans had pixels blanked.
        left_out: Files that could not be cleaned and are not in the new cohort: the row of the table, and why.
    """

    cohort: Cohort
    replaced: Mapping[str, int]
    burned_in: Mapping[str, str]
    blanked: int
    left_out: tuple[str, ...]


@dataclass
class _Work:
    """What is shared while cases are done one by one."""

    rules: Rules
    out: Path
    replaced: Counter[str] = field(default_factory=Counter)
    burned_in: dict[str, str] = field(default_factory=dict)
    blanked: int = 0
    left_out: list[str] = field(default_factory=list)


def deidentify(
    source: str | Path,
    out: str | Path,
    *,
    key: bytes | None = None,
    keep: Collection[str] = (),
    blank: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Deidentified:
    """Write a cohort without what names its patients; the old one stays as it is.

    Patients, cases and files get new names, DICOM headers follow PS3.15 (`deidentify/dicom.py`), of a series in every
    file, pictures and NIfTI volumes lose their metadata, notes and cells are screened. A file that cannot be cleaned is
    left out and counted.

    Args:
        source: A cohort.
        out: The folder to make; it must not exist, or be empty.
        key: The secret of the new names; None draws one that nobody keeps.
        keep: Of `KEEPABLE`: `characteristics` (sex, age, size, weight in the headers) and `device`.
        blank: Whether to blank ultrasound images outside of their regions.
        progress: Called with 1 for each case.

    Raises:
        CohortError: If the cohort cannot be read, the folder is not free, or `keep` names something else.
    """
    cohort, out = Cohort.load(source), Path(out)
    unknown = sorted(set(keep) - set(KEEPABLE))
    if unknown:
        message = f"'{unknown[0]}' cannot be kept; there are {', '.join(KEEPABLE)}"
        raise CohortError(message)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        message = f"{out}: already there; choose another folder or remove it first"
        raise CohortError(message)
    if out.resolve().is_relative_to(cohort.folder.resolve()):
        message = f"{out}: lies inside the cohort; name a folder beside it"
        raise CohortError(message)
    partial = out.with_name(out.name + ".deidentifying.partial")
    shutil.rmtree(partial, ignore_errors=True)
    work = _Work(Rules(Pseudonyms(key or secrets.token_bytes(32)), keep, blank), partial)
    try:
        (partial / "scans").mkdir(parents=True)
        (partial / "notes").mkdir()
        cases = []
        by_patient: dict[str, set[str]] = {}
        for case in cohort.cases:  # names first: a note of one case may have the name in another's header
            by_patient.setdefault(case.patient_id, {case.patient_id}).update(_names(case))
        for number, case in enumerate(cohort.cases, start=1):
            cases.append(_case(case, number, by_patient[case.patient_id], work))
            if progress is not None:
                progress(1)
        made = replace(
            cohort, folder=partial, cases=tuple(cases), problems=(), splits=_splits(cohort), redaction=cohort.redaction
        )
        if made.splits:
            made = made.in_splits([case.split for case in cases if case.split], **made.splits)
        made.save()
        done = Deidentified(made, +work.replaced, work.burned_in, work.blanked, tuple(work.left_out))
        (partial / REPORT).write_text(_report(done, keep), encoding="utf-8")
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return replace(done, cohort=Cohort.load(out))


def _splits(cohort: Cohort) -> dict[str, Any]:
    whole = all(case.split for case in cohort.cases) and cohort.splits_as_recorded
    return {key: value for key, value in cohort.splits.items() if key != "digest"} if whole else {}


def _names(case: Case) -> set[str]:
    """What names a case: its id, and identifiers in its scans' headers and its notes' documents."""
    names = {case.case_id}
    for scan in case.scans:
        names |= names_in_scan(scan.path)
    for note in case.notes:
        names |= names_in_note(note.path) if note.path else set()
    return names


def _case(case: Case, number: int, names: set[str], work: _Work) -> Case:
    case_id = f"case{number:06}"
    screen, pseudonyms = Screen(names), work.rules.pseudonyms
    scans = []
    for place, scan in enumerate(case.scans, start=1):
        try:
            clean = clean_scan(
                scan.path,
                out=work.out,
                name=f"{case_id}_{place}",
                patient=case.patient_id,
                known=names,
                rules=work.rules,
            )
        except ScanError as error:
            work.left_out.append(f"row {number + 1}, scan {place}: {error}")
            continue
        scans.append(Scan(clean.path))
        if clean.burned_in:
            work.burned_in[clean.path.as_posix()] = clean.burned_in
        work.blanked += clean.blanked
        work.left_out += [f"row {number + 1}, scan {place}: {line}" for line in clean.left_out]
    notes = []
    for place, note in enumerate(case.notes, start=1):
        assert note.path is not None
        try:
            text, counts = clean_note(note.path, patient=case.patient_id, screen=screen, pseudonyms=pseudonyms)
        except NoteError as error:
            reason = str(error).removeprefix(f"{note.path.name}: ")
            work.left_out.append(f"row {number + 1}, note {place}: {reason}")
            continue
        work.replaced += counts
        notes.append(Note(Path("notes") / f"{case_id}_{place}.txt"))
        (work.out / "notes" / f"{case_id}_{place}.txt").write_text(text, encoding="utf-8", newline="\n")
    return Case(
        case_id=case_id,
        patient_id=pseudonyms.patient(case.patient_id),
        time=moved_time(case.time, case.patient_id, pseudonyms) or _cell(case.time, screen, work),
        split=case.split,
        scans=tuple(scans),
        notes=tuple(notes),
        values={name: _value(name, value, screen, work) for name, value in case.values.items()},
        labels=case.labels,
        groups={name: _cell(value, screen, work) or "" for name, value in case.groups.items()},
    )


def _cell(text: str | None, screen: Screen, work: _Work) -> str | None:
    if not text:
        return text
    screened, counts = screen.apply(text)
    work.replaced += counts
    return screened


def _value(name: str, value: float | str | None, screen: Screen, work: _Work) -> float | str | None:
    if isinstance(value, str):
        return _cell(value, screen, work)
    aged = "age" in name.lower().replace("-", "_").split("_")
    return float(OLDEST + 1) if aged and value is not None and value > OLDEST else value


def _report(done: Deidentified, keep: Collection[str]) -> str:
    kept = f", kept: {', '.join(sorted(keep))}" if keep else ""
    lines = [
        "# De-identification",
        "",
        f"{len(done.cohort.cases)} cases. DICOM headers by PS3.15 table E.1-1 (edition 2024b), dates moved by patient"
        f"{kept}. Patients, cases and files have new names.",
        "",
        "Replaced in notes and cells: "
        + (", ".join(f"{count} x {kind}" for kind, count in sorted(done.replaced.items())) or "nothing")
        + ".",
        f"Scans with pixels blanked: {done.blanked}.",
        "",
        PROMISES.format(oldest=OLDEST),
        f"## Files whose pixels may hold text ({len(done.burned_in)})",
        "",
        *(f"- {name}: {reason}" for name, reason in done.burned_in.items()),
        "",
        f"## Left out ({len(done.left_out)})",
        "",
        *(f"- {line}" for line in done.left_out),
    ]
    return "\n".join(lines).rstrip() + "\n"
