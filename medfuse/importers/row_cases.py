"""Rows of a table with the files found for them, to a cohort: what `table`, `image-folder` and `dicom-folder` share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.case import Case, Note, Scan, Split
from medfuse.cohort import MISSING, Cohort, Kind
from medfuse.errors import CohortError
from medfuse.importers.columns import Columns
from medfuse.importers.linking import digest_of, linked_patients
from medfuse.importers.new_folder import NewFolder, safe_name
from medfuse.importers.splits import SPLIT_NAMES, fill_splits
from medfuse.notes import Redaction

_UNSURE = frozenset({"-1", "-1.0"})  # as CheXpert marks it
_YES, _NO = frozenset({"1", "1.0", "y", "yes", "true"}), frozenset({"0", "0.0", "n", "no", "false"})


@dataclass(frozen=True)
class Row:
    """One row and the files found for it.

    Attributes:
        number: As a spreadsheet counts, the header being row 1.
        cells: Text by column.
        scans: The files of each scan: one, or those of a series.
        notes: Notes that were read from files, beside the text of the row's cells.
        case: The case that the row belongs to; "" if its cell says so.
        fallback: The case if nothing else says so; "" takes the row's number.
        patient: The patient; "" if the row's cell says so.
        split: The split; None if the row's cell says so.
        time: ISO 8601; None if not known.
    """

    number: int
    cells: Mapping[str, str]
    scans: tuple[tuple[Path, ...], ...] = ()
    notes: tuple[Note, ...] = ()
    case: str = ""
    fallback: str = ""
    patient: str = ""
    split: Split | None = None
    time: str | None = None


def cohort_of_rows(
    rows: Sequence[Row],
    columns: Columns,
    *,
    folder: NewFolder,
    table: Path,
    name: str,
    task: str,
    redact: str,
    problems: list[str],
    progress: Callable[[int], None] | None,
) -> Cohort:
    """Fill the folder and give the unsaved cohort: a row is a case, or rows of one `case` are.

    Patients who share a file or a case are taken as one. Splits that a source leaves out are drawn from its training
    patients.

    Args:
        rows: The rows.
        columns: Which columns play which role.
        folder: The folder to fill.
        table: The table, for messages.
        name: The cohort's name.
        task: `multiclass` or `multilabel`; several label columns are multilabel anyhow.
        redact: Terms to remove from the notes, joined by commas.
        problems: Receives what had to be left out.
        progress: Called with 1 after each case.

    Raises:
        CohortError: If there are fewer than two labels.
    """
    multilabel = task == "multilabel" or len(columns.label) > 1
    cells = [row.cells for row in rows]
    labels = columns.label if multilabel else _classes(table, columns.label[0], cells)
    kinds = {column: _kind(column, cells) for column in columns.tabular}
    keys = _case_keys(rows, columns)
    owners = _patients(rows, keys, columns, problems)
    redaction = Redaction(redact.split(","))
    replaced: Counter[str] = Counter()
    cases: list[Case] = []
    for case_id, group in _grouped(rows, keys).items():
        scans = _scans(group, case_id, folder)
        notes = _notes(group, columns, case_id, folder, redaction, replaced)
        if scans or notes:
            cases.append(
                Case(
                    case_id=case_id,
                    patient_id=owners[case_id],
                    time=next((row.time for row in group if row.time), None),
                    split=_split(group, columns, case_id, problems),
                    scans=scans,
                    notes=notes,
                    values={column: _value(column, kind, group) for column, kind in kinds.items()},
                    **_labels(group, columns, labels, case_id, problems, multilabel=multilabel),
                    groups={column: _first(column, group) for column in columns.groups},
                )
            )
        else:
            problems.append(f"case {case_id}: neither an image nor text; left out")
        if progress is not None:
            progress(1)
    counts_by_term = {term: replaced[term] for term in redaction.terms if replaced[term]}
    return Cohort(
        folder=folder.path,
        name=name,
        task="multilabel" if multilabel else "multiclass",
        labels=labels,
        cases=fill_splits(cases),
        tabular=kinds,
        groups=columns.groups,
        redaction={"terms": list(redaction.terms), "replaced": counts_by_term} if redaction.terms else {},
        problems=tuple(problems),
    )


def plain(cell: str) -> str:
    """The cell with single blanks, "" if it says nothing."""
    joined = " ".join(cell.split())
    return "" if joined.lower() in MISSING else joined


def _classes(table: Path, column: str, cells: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    classes = sorted({plain(row[column]) for row in cells} - {""})
    if len(classes) < 2:
        message = f"{table}: column '{column}' should hold two labels or more; it holds {len(classes)}"
        raise CohortError(message)
    return tuple(classes)


def _case_keys(rows: Sequence[Row], columns: Columns) -> list[str]:
    """The case of each row: as it is known, its cell, or else its row number."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    keys = []
    for row in rows:
        written = row.case or (plain(row.cells[columns.case]) if columns.case else "") or row.fallback
        key = written or f"row {row.number}"
        if key not in found:
            stem = safe_name(written) if written else f"row{row.number}"
            case_id, number = stem, 1
            while case_id in taken:
                number += 1
                case_id = f"{safe_name(key)}_{number}"
            taken.add(case_id)
            found[key] = case_id
        keys.append(found[key])
    return keys


def _patients(rows: Sequence[Row], keys: Sequence[str], columns: Columns, problems: list[str]) -> dict[str, str]:
    """Patient by case; patients who share a file or a case are one."""
    pairs: list[tuple[str, str]] = []
    written: dict[str, str] = {}
    for row, key in zip(rows, keys, strict=True):
        patient = row.patient or (plain(row.cells[columns.patient]) if columns.patient else "") or key
        written.setdefault(key, patient)
        pairs.append((patient, f"case {key}"))
        pairs += [(patient, digest_of(path)) for scan in row.scans for path in scan]
    linked = linked_patients(pairs)
    if shared := len(linked) - len(set(linked.values())):
        problems.append(f"{shared} patients share a file or a case with another; such patients are taken as one")
    return {key: linked[patient] for key, patient in written.items()}


def _grouped(rows: Sequence[Row], keys: Sequence[str]) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row)
    return groups


def _notes(
    group: Sequence[Row],
    columns: Columns,
    case_id: str,
    folder: NewFolder,
    redaction: Redaction,
    replaced: Counter[str],
) -> tuple[Note, ...]:
    """The text of the cells as one note, and then each note that was read from a file."""
    found = [Note(text=_text(group, columns)), *dict.fromkeys(note for row in group for note in row.notes)]
    notes = []
    for note in found:
        text, counts = redaction.apply(note.text or "")
        if text.strip():
            replaced += counts
            notes.append(folder.note(text, case_id, kind=note.kind, time=note.time))
    return tuple(notes)


def _text(group: Sequence[Row], columns: Columns) -> str:
    """The cells once each; of several text columns each stands behind its column's name, as a section."""
    parts: dict[str, None] = {}
    for row in group:
        for column in columns.text:
            if (text := row.cells[column].strip()) and text.lower() not in MISSING:
                parts[f"{column.upper().replace('_', ' ')}: {text}" if len(columns.text) > 1 else text] = None
    return "\n\n".join(parts)


def _scans(group: Sequence[Row], case_id: str, folder: NewFolder) -> tuple[Scan, ...]:
    scans = dict.fromkeys(scan for row in group for scan in row.scans)
    return tuple(folder.scan(files, f"{case_id}_{n}") for n, files in enumerate(scans, start=1))


def _split(group: Sequence[Row], columns: Columns, case_id: str, problems: list[str]) -> Split | None:
    if group[0].split is not None:
        return group[0].split
    written = _first(columns.split, group).lower() if columns.split else ""
    if written and written not in SPLIT_NAMES:
        problems.append(f"case {case_id}: split '{written}' is none of {', '.join(SPLIT_NAMES)}; taken as none")
    return SPLIT_NAMES.get(written)


def _labels(
    group: Sequence[Row],
    columns: Columns,
    labels: Sequence[str],
    case_id: str,
    problems: list[str],
    *,
    multilabel: bool,
) -> dict[str, Any]:
    found: dict[str, int | None] = dict.fromkeys(labels)
    uncertain = set()
    for column in columns.label:
        answers = {plain(row.cells[column]) for row in group} - {""}
        if multilabel:
            answers = {_answer(a) for a in answers}
        if len(answers) > 1:
            problems.append(f"case {case_id}: rows differ in '{column}'; left blank")
        elif answers == {"?"}:
            problems.append(f"case {case_id}: '{column}' should be 0, 1, -1 (uncertain) or blank; left blank")
        elif answers == {"-1"} and multilabel:
            uncertain.add(column)
        elif answers and multilabel:
            found[column] = int(answers.pop())
        elif answers:
            answer = answers.pop()
            found = {label: int(label == answer) for label in labels}
    return {"labels": found, "uncertain": frozenset(uncertain)}


def _answer(cell: str) -> str:
    given = cell.lower()
    return "1" if given in _YES else "0" if given in _NO else "-1" if given in _UNSURE else "?"


def _kind(column: str, cells: Iterable[Mapping[str, str]]) -> Kind:
    """Number if every cell that says something is one."""
    given = {plain(row[column]) for row in cells} - {""}
    return "number" if given and all(_is_number(cell) for cell in given) else "category"


def _value(column: str, kind: Kind, group: Sequence[Row]) -> float | str | None:
    first = _first(column, group)
    if not first:
        return None
    return float(first) if kind == "number" else first


def _first(column: str, group: Sequence[Row]) -> str:
    return next((cell for row in group if (cell := plain(row.cells[column]))), "")


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) < float("inf")
    except ValueError:
        return False
