"""A cohort: a folder with `cohort.yaml` and `cases.csv` or `cases.parquet`, read, checked, written and split."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from medfuse.case import Case, Split
from medfuse.errors import CohortError
from medfuse.splits import digest_of_splits, split_by_patient
from medfuse.table import (
    DIAGNOSIS,
    ID_COLUMNS,
    KINDS,
    MISSING,
    SEPARATOR,
    TASKS,
    UNCERTAIN,
    Kind,
    Root,
    Table,
    Task,
)

__all__ = [
    "DIAGNOSIS",
    "ID_COLUMNS",
    "KINDS",
    "MISSING",
    "MOVED",
    "SEPARATOR",
    "TASKS",
    "UNCERTAIN",
    "Cohort",
    "Evidence",
    "Kind",
    "Task",
    "record_splits",
]

Evidence = Literal["image", "text", "tabular", "all"]

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
        table = Table.of(folder)
        problems: list[str] = []
        seen: set[str] = set()

        def again(case_id: str) -> bool:
            met = case_id in seen
            seen.add(case_id)
            return met

        rows = enumerate((row for row, _ in table.rows()), start=2)  # row 1 is the header, as a spreadsheet counts
        cases = tuple(table.cases(rows, Root(folder), again, problems.append))
        read = cls(folder=folder, cases=cases, problems=tuple(problems), **table.header)
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
        read = Table.of(cohort.folder)
        columns = list(dict.fromkeys([*read.fields, "split"])) if read.fields else list(ID_COLUMNS)
        written = (row | {"split": splits.get(row["case_id"].strip(), "")} for row, _ in read.rows())
        _write_csv(cohort.folder / read.name, columns, written)
    header = yaml.safe_load((cohort.folder / "cohort.yaml").read_text(encoding="utf-8")) | {
        "splits": dict(cohort.splits)
    }
    _write(cohort.folder / "cohort.yaml", yaml.safe_dump(header, sort_keys=False, allow_unicode=True))


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
