"""A cohort: a folder with `cohort.yaml` and `cases.csv` or `cases.parquet`, read, checked, written and split."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import yaml

from medfuse.case import SPLITS, Case, Note, Scan, Split
from medfuse.errors import CohortError
from medfuse.splits import digest_of_splits, split_by_patient

Task = Literal["multiclass", "multilabel"]
TASKS: tuple[Task, ...] = ("multiclass", "multilabel")
Kind = Literal["number", "category"]
KINDS: tuple[Kind, ...] = ("number", "category")
Evidence = Literal["image", "text", "tabular", "all"]

ID_COLUMNS = ("case_id", "patient_id", "time", "split", "scans", "notes")
UNCERTAIN = -1  # of a label in a multilabel table, as CheXpert marks it (Irvin et al. 2019, arXiv:1901.07031)
DIAGNOSIS = "diagnosis"  # the label column of a multiclass cohort
SEPARATOR = "|"  # between the paths of one cell
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null"})  # cells that say nothing, in any case
MOVED = (
    "cohort.yaml: cases were moved between splits, added or left out since it recorded them; draw the splits anew with "
    "`medfuse split`, or take `splits` out of it if the change was meant"
)


@dataclass(frozen=True)
class Cohort:
    """Cases with the task they are for.

    Example:
        >>> cohort = Cohort.load("sample_data")
        >>> cohort.task, len(cohort.labels)
        ('multiclass', 5)

    Attributes:
        folder: Where the cohort lies; every scan and note is inside it.
        name: A short name.
        task: `multiclass` (one label a case) or `multilabel` (each label 1, 0, -1 for uncertain, or blank).
        labels: The labels in the order of every probability vector.
        cases: The cases in the order of the table.
        tabular: The kind of each tabular column.
        groups: Columns for subgroup reports; never an input of a model.
        urgency: Weight in 0…1 by label, by which a worklist sorts; may be empty.
        licence: Terms of the data.
        citation: How to cite the data.
        redaction: What was removed from the notes: `terms`, `replaced` (count by term); may be empty.
        splits: How the splits were drawn: `by` (patient, time or site) with what it depended on, and `digest`, which
            tells whether a case was moved since; empty if the table came with them.
        problems: What was wrong with the table's rows, one line each, with the row.
    """

    folder: Path
    name: str
    task: Task
    labels: tuple[str, ...]
    cases: tuple[Case, ...]
    tabular: Mapping[str, Kind] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    urgency: Mapping[str, float] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    redaction: Mapping[str, Any] = field(default_factory=dict)
    splits: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @classmethod
    def load(cls, folder: str | Path) -> Cohort:
        """Read a cohort; a faulty row costs only itself and is named in `problems`.

        Raises:
            CohortError: If the folder, `cohort.yaml` or the table's columns are not valid.
        """
        folder = Path(folder)
        header = _read_header(folder)
        rows, columns, source = _read_table(folder)
        label_columns = (DIAGNOSIS,) if header["task"] == "multiclass" else header["labels"]
        expected = ("case_id", *label_columns, *header["tabular"], *header["groups"])
        absent = [column for column in expected if column not in (columns or expected)]
        if absent:
            message = f"{folder / source}: no column {', '.join(map(repr, absent))}; cohort.yaml says there is"
            raise CohortError(message)
        root = _Root(folder)
        cases, problems, seen = [], [], set()
        for number, row in enumerate(rows, start=2):  # row 1 is the header, as a spreadsheet counts
            where = f"{source} row {number}"
            case = _case_of(row, header, root)
            if not case.case_id or case.case_id in seen:
                what = f"case_id '{case.case_id}' stands twice" if case.case_id else "no case_id"
                problems.append(f"{where}: {what}; the row is left out")
                continue
            seen.add(case.case_id)
            problems.extend(f"{where} (case {case.case_id}): {problem}" for problem in case.problems)
            cases.append(case)
        read = cls(folder=folder, cases=tuple(cases), problems=tuple(problems), **header)
        return read if read.splits_as_recorded else replace(read, problems=(*read.problems, MOVED))

    def save(self) -> None:
        """Write `cohort.yaml` and `cases.csv` into the folder, each in one step (a crash leaves the old file)."""
        header = {
            "name": self.name,
            "task": self.task,
            "labels": list(self.labels),
            "tabular": dict(self.tabular),
            "groups": list(self.groups),
            "urgency": dict(self.urgency),
            "licence": self.licence,
            "citation": self.citation,
            "redaction": dict(self.redaction),
            "splits": dict(self.splits),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        header = {key: value for key, value in header.items() if value not in ("", [], {})}
        _write(self.folder / "cohort.yaml", yaml.safe_dump(header, sort_keys=False, allow_unicode=True))
        label_columns = (DIAGNOSIS,) if self.task == "multiclass" else self.labels
        columns = [*ID_COLUMNS, *label_columns, *self.tabular, *self.groups]
        _write_csv(self.folder / "cases.csv", columns, (_row_of(case, self) for case in self.cases))
        (self.folder / "cases.parquet").unlink(missing_ok=True)  # it would be read in place of what was just written

    def in_split(self, *splits: Split) -> tuple[Case, ...]:
        """The cases of these splits, in the order of the table."""
        return tuple(case for case in self.cases if case.split in splits)

    def with_splits(self, seed: int, *, hold_out: bool = True) -> Cohort:
        """The same cohort with every case in a split: as the table says, or else drawn by patient from `seed`.

        Args:
            seed: Of the draw.
            hold_out: Whether to draw a test split; without it the other splits share its patients.

        Raises:
            CohortError: If only some cases have a split, or a patient stands on both sides of one.
        """
        given = sum(case.split is not None for case in self.cases)
        if given == 0:
            return self.in_splits(split_by_patient(self.cases, seed=seed, hold_out=hold_out), by="patient", seed=seed)
        if given < len(self.cases):
            first = next(case.case_id for case in self.cases if case.split is None)
            message = f"{self.folder}: case {first} has no split but others do; fill the column or leave it out"
            raise CohortError(message)
        sides: dict[str, Split | None] = {}
        for case in self.cases:
            if sides.setdefault(case.patient_id, case.split) != case.split:
                message = (
                    f"{self.folder}: a patient of case {case.case_id} stands in both {sides[case.patient_id]} and "
                    f"{case.split}; splits go by patient"
                )
                raise CohortError(message)
        return self

    def in_splits(self, splits: Iterable[Split], **how: Any) -> Cohort:
        """The same cohort with these splits, one a case, and a record of how they were drawn."""
        cases = tuple(replace(case, split=split) for case, split in zip(self.cases, splits, strict=True))
        return replace(self, cases=cases, splits={**how, "digest": digest_of_splits(cases)})

    @property
    def splits_as_recorded(self) -> bool:
        """Whether the cases are in the splits that `cohort.yaml` has the digest of; true if it has none."""
        return self.splits.get("digest") in (None, digest_of_splits(self.cases))

    def truth(self) -> dict[Evidence, dict[str, tuple[float, ...]]] | None:
        """The true posterior by evidence and case, in the order of `labels`; None where it is not known.

        Only a synthetic cohort knows it: `truth.csv` with the columns `case_id`, `evidence` and one a label.
        """
        path = self.folder / "truth.csv"
        if not path.exists():
            return None
        posterior: dict[Any, dict[str, tuple[float, ...]]] = {}
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                values = tuple(float(row[label]) for label in self.labels)
                posterior.setdefault(row["evidence"], {})[row["case_id"]] = values
        return posterior


def record_splits(cohort: Cohort) -> None:
    """Write the splits of a cohort into its table and `cohort.yaml`; nothing else in either is changed."""
    splits = {case.case_id: case.split or "" for case in cohort.cases}
    path = cohort.folder / "cases.parquet"
    if path.exists():
        import pandas

        table = pandas.read_parquet(path)
        table["split"] = [splits.get(str(case_id).strip(), "") for case_id in table["case_id"]]
        partial = path.with_name(path.name + ".partial")
        table.to_parquet(partial)
        os.replace(partial, path)
    else:
        rows, columns, name = _read_table(cohort.folder)
        columns = list(dict.fromkeys([*columns, "split"])) if columns else list(ID_COLUMNS)
        written = (row | {"split": splits.get(row["case_id"].strip(), "")} for row in rows)
        _write_csv(cohort.folder / name, columns, written)
    header = yaml.safe_load((cohort.folder / "cohort.yaml").read_text(encoding="utf-8")) | {
        "splits": dict(cohort.splits)
    }
    _write(cohort.folder / "cohort.yaml", yaml.safe_dump(header, sort_keys=False, allow_unicode=True))


def _read_header(folder: Path) -> dict[str, Any]:
    path = folder / "cohort.yaml"
    if not folder.is_dir():
        message = f"{folder}: no such folder; a cohort is a folder with cohort.yaml and cases.csv"
        raise CohortError(message)
    if not path.exists():
        message = f"{folder}: no cohort.yaml; `medfuse import` makes a cohort from a table or a folder of files"
        raise CohortError(message)
    try:
        header = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path}: not valid YAML: {' '.join(str(error).split())}"
        raise CohortError(message) from error
    if not isinstance(header, dict):
        message = f"{path}: should hold keys such as name, task and labels"
        raise CohortError(message)
    known = ("name", "task", "labels", "tabular", "groups", "urgency", "licence", "citation", "redaction", "splits")
    unknown = [str(key) for key in header if key not in known]
    labels = header.get("labels")
    faults = {
        f"unknown key '{', '.join(unknown)}'; known are {', '.join(known)}": unknown,
        f"task is {header.get('task')!r}; it is one of {', '.join(TASKS)}": header.get("task") not in TASKS,
        "labels should be a list of two or more names (one is enough for multilabel), none twice": (
            not isinstance(labels, list)
            or len(labels) < (1 if header.get("task") == "multilabel" else 2)
            or len(set(map(str, labels))) < len(labels)
        ),
        "splits should hold by and digest, as `medfuse split` writes them": not isinstance(
            header.get("splits", {}), dict
        ),
        "tabular should name each column's kind, number or category": (
            not isinstance(header.get("tabular", {}), dict)
            or any(kind not in KINDS for kind in header.get("tabular", {}).values())
        ),
    }
    for fault, present in faults.items():
        if present:
            message = f"{path}: {fault}"
            raise CohortError(message)
    return {
        "name": str(header.get("name", folder.name)),
        "task": header["task"],
        "labels": tuple(str(label) for label in header["labels"]),
        "tabular": {str(column): kind for column, kind in header.get("tabular", {}).items()},
        "groups": tuple(str(column) for column in header.get("groups", ())),
        "urgency": {str(label): float(weight) for label, weight in header.get("urgency", {}).items()},
        "licence": str(header.get("licence", "")),
        "citation": str(header.get("citation", "")),
        "redaction": header.get("redaction", {}),
        "splits": header.get("splits", {}),
    }


def _read_table(folder: Path) -> tuple[Iterable[dict[str, str]], list[str], str]:
    """The rows as text cells, read while they are asked for; the columns; and the name of the file they come from."""
    if (folder / "cases.parquet").exists():
        import pandas

        table = pandas.read_parquet(folder / "cases.parquet")
        cells = table.astype(object).where(table.notna(), "").astype(str)
        rows = [{str(k): str(v) for k, v in row.items()} for row in cells.to_dict("records")]
        return rows, list(rows[0]) if rows else [], "cases.parquet"
    path = folder / "cases.csv"
    if not path.exists():
        message = f"{folder}: no cases.csv or cases.parquet"
        raise CohortError(message)
    rows_of_file = _rows(path)
    first = next(rows_of_file, None)
    return ([] if first is None else chain([first], rows_of_file)), list(first or ()), "cases.csv"


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for row in csv.DictReader(stream):
                yield {column: cell or "" for column, cell in row.items() if column}
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: not a UTF-8 CSV table: {error}"
        raise CohortError(message) from error


def _case_of(row: Mapping[str, str], header: Mapping[str, Any], root: _Root) -> Case:
    problems: list[str] = []
    split = row.get("split", "").strip() or None
    if split is not None and split not in SPLITS:
        problems.append(f"split '{split}' is none of {', '.join(SPLITS)}; taken as none")
        split = None
    labels, uncertain = _labels_of(row, header, problems)
    values: dict[str, float | str | None] = {}
    for column, kind in header["tabular"].items():
        cell = row[column].strip()
        values[column] = None if cell.lower() in MISSING else cell if kind == "category" else _number(cell)
        if kind == "number" and values[column] is None and cell.lower() not in MISSING:
            problems.append(f"column '{column}' should hold a number; taken as missing")
    case_id = row["case_id"].strip()
    return Case(
        case_id=case_id,
        patient_id=row.get("patient_id", "").strip() or case_id,
        time=row.get("time", "").strip() or None,
        split=split,
        scans=tuple(Scan(path) for path in _paths(row.get("scans", ""), root, "scan", problems)),
        notes=tuple(Note(path) for path in _paths(row.get("notes", ""), root, "note", problems)),
        values=values,
        labels=labels,
        uncertain=uncertain,
        groups={column: row[column].strip() for column in header["groups"]},
        problems=tuple(problems),
    )


def _labels_of(
    row: Mapping[str, str], header: Mapping[str, Any], problems: list[str]
) -> tuple[dict[str, int | None], frozenset[str]]:
    known: tuple[str, ...] = header["labels"]
    labels: dict[str, int | None] = dict.fromkeys(known)
    if header["task"] == "multiclass":
        diagnosis = row[DIAGNOSIS].strip()
        if diagnosis in known:
            return {label: int(label == diagnosis) for label in known}, frozenset()
        if diagnosis:
            problems.append(f"label '{diagnosis}' is none of {', '.join(known)}; taken as unlabelled")
        return labels, frozenset()
    uncertain = set()
    for label in known:
        cell = row[label].strip().lower()
        number = None if cell in MISSING else _number(cell)
        if number in (0.0, 1.0):
            labels[label] = int(number)
        elif number == UNCERTAIN:
            uncertain.add(label)
        elif cell not in MISSING:
            problems.append(f"label '{label}' should be 0, 1, -1 (uncertain) or blank; taken as blank")
    return labels, frozenset(uncertain)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _paths(cell: str, root: _Root, what: str, problems: list[str]) -> Iterable[Path]:
    for part in filter(None, (part.strip() for part in cell.split(SEPARATOR))):
        path = root.inside(part)
        if path is not None:
            yield path
        else:
            problems.append(f"{what} '{part}' lies outside the cohort's folder; left out")


class _Root:
    """The cohort's folder, links followed; each folder of files is looked at once, however many files it has."""

    def __init__(self, folder: Path) -> None:
        self._root = os.path.realpath(folder)
        self._folders: dict[str, str] = {}

    def inside(self, part: str) -> Path | None:
        """The file with links followed, so that none leads out; None if it does."""
        if "\x00" in part:  # is no path
            return None
        parent, name = os.path.split(part)
        if parent not in self._folders:
            self._folders[parent] = os.path.realpath(os.path.join(self._root, parent))  # noqa: PTH118
        path = f"{self._folders[parent]}{os.sep}{name}"
        if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        return Path(path) if path == self._root or path.startswith(self._root + os.sep) else None


def _row_of(case: Case, cohort: Cohort) -> dict[str, Any]:
    root = cohort.folder.resolve()
    row: dict[str, Any] = {
        "case_id": case.case_id,
        "patient_id": case.patient_id,
        "time": case.time or "",
        "split": case.split or "",
        "scans": SEPARATOR.join((root / scan.path).relative_to(root).as_posix() for scan in case.scans),
        "notes": SEPARATOR.join((root / note.path).relative_to(root).as_posix() for note in case.notes if note.path),
    }
    if cohort.task == "multiclass":
        row[DIAGNOSIS] = next((label for label in cohort.labels if case.labels.get(label) == 1), "")
    else:
        row |= {label: _label_cell(case, label) for label in cohort.labels}
    row |= {column: "" if (cell := case.values.get(column)) is None else cell for column in cohort.tabular}
    return row | {column: case.groups.get(column, "") for column in cohort.groups}


def _label_cell(case: Case, label: str) -> int | str:
    if label in case.uncertain:
        return UNCERTAIN
    value = case.labels.get(label)
    return "" if value is None else value


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n", restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    os.replace(partial, path)
