"""The table of a cohort and what it says of each case: `cohort.yaml`, and `cases.csv` or `cases.parquet` row by row.

Rows are read while they are asked for, from any place in the table on, so that no more of it is held than is worked on.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import yaml

from medfuse.case import SPLITS, Case, Note, Scan
from medfuse.errors import CohortError

Task = Literal["multiclass", "multilabel"]
TASKS: tuple[Task, ...] = ("multiclass", "multilabel")
Kind = Literal["number", "category"]
KINDS: tuple[Kind, ...] = ("number", "category")

ID_COLUMNS = ("case_id", "patient_id", "time", "split", "scans", "notes")
UNCERTAIN = -1  # of a label in a multilabel table, as CheXpert marks it (Irvin et al. 2019, arXiv:1901.07031)
DIAGNOSIS = "diagnosis"  # the label column of a multiclass cohort
SEPARATOR = "|"  # between the paths of one cell
MISSING = frozenset({"", "na", "n/a", "nan", "none", "null"})  # cells that say nothing, in any case
NAMES = ("cases.parquet", "cases.csv")  # of a cohort's table; the first that is there is read

_FOLDERS = 4096  # folders of files whose links are remembered as followed


@dataclass(frozen=True)
class Table:
    """The rows of a cohort as text cells.

    Attributes:
        name: `cases.csv` or `cases.parquet`.
        header: What `cohort.yaml` says (see `read_header`).
        opened: Opens the table, for reading bytes at any place.
        fields: Its columns; none where it has no row.
    """

    name: str
    header: Mapping[str, Any]
    opened: Callable[[], IO[bytes]]
    fields: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: str | Path) -> Table:
        """The table in a folder.

        Raises:
            CohortError: If the folder, `cohort.yaml` or the table's columns are not valid.
        """
        folder = Path(folder)
        header = read_header(folder)
        name = next((name for name in NAMES if (folder / name).exists()), None)
        if name is None:
            message = f"{folder}: no cases.csv or cases.parquet"
            raise CohortError(message)
        path = folder / name
        return cls.checked(name, header, lambda: path.open("rb"), where=str(path))

    @classmethod
    def checked(cls, name: str, header: Mapping[str, Any], opened: Callable[[], IO[bytes]], *, where: str) -> Table:
        """A table that has the columns which the header says there are.

        Raises:
            CohortError: If it lacks one; `where` is named.
        """
        table = cls(name, header, opened)
        fields = tuple(next(table.rows(), ({}, 0))[0])
        label_columns = (DIAGNOSIS,) if header["task"] == "multiclass" else header["labels"]
        expected = ("case_id", *label_columns, *header["tabular"], *header["groups"])
        absent = [column for column in expected if column not in (fields or expected)]
        if absent:
            message = f"{where}: no column {', '.join(map(repr, absent))}; cohort.yaml says there is"
            raise CohortError(message)
        return cls(name, header, opened, fields)

    def rows(self, *, at: int = 0) -> Iterator[tuple[dict[str, str], int]]:
        """Rows from a place on, each with the place where the next begins: a byte of CSV, a row of Parquet.

        Args:
            at: 0 for the first row, or a place that an earlier row came with.

        Raises:
            CohortError: If it is no CSV in UTF-8, or no Parquet.
        """
        with self.opened() as stream:
            yield from _parquet(stream, at) if self.name.endswith(".parquet") else _csv(stream, at, self.name)

    def cases(
        self, rows: Iterable[tuple[int, Mapping[str, str]]], root: Root, again: Callable[[str], bool], told: Callable
    ) -> Iterator[Case]:
        """Cases of rows; one without an id, or whose id stood before, is left out.

        Args:
            rows: With their numbers, from 2, as a spreadsheet counts.
            root: Where scans and notes lie.
            again: Whether an id stood before; called once a row.
            told: Called with a line for each fault of a row, which names the row.
        """
        for number, row in rows:
            where = f"{self.name} row {number}"
            case = case_of(row, self.header, root)
            if not case.case_id or again(case.case_id):
                what = f"case_id '{case.case_id}' stands twice" if case.case_id else "no case_id"
                told(f"{where}: {what}; the row is left out")
                continue
            for problem in case.problems:
                told(f"{where} (case {case.case_id}): {problem}")
            yield case

    def stream(self, folder: Path, ids: Ids, told: Callable[[str], None]) -> Iterator[Case]:
        """All cases of a table in this folder, as `Cohort.load` would have them, without holding them."""
        rows = enumerate((row for row, _ in self.rows()), start=2)
        return self.cases(rows, Root(folder), ids.again, told)


class Ids:
    """The ids of a table, told apart by 8 bytes each, so that a second pass knows which stood before.

    Args:
        table: It is read once.

    Attributes:
        cases: How many different ids there are.
    """

    def __init__(self, table: Table) -> None:
        import numpy as np

        given = (row["case_id"].strip() for row, _ in table.rows())
        sums = np.fromiter((_sum(case_id) for case_id in given if case_id), dtype=np.uint64)
        sums.sort()
        repeats = sums[1:] == sums[:-1]
        self._repeated = frozenset(sums[1:][repeats].tolist())
        self._met: set[str] = set()
        self.cases = len(sums) - int(repeats.sum())

    def again(self, case_id: str) -> bool:
        """Whether this was asked for the id before; of ids that stand once nothing is kept."""
        if not self._repeated or _sum(case_id) not in self._repeated:
            return False
        met = case_id in self._met
        self._met.add(case_id)
        return met


def _sum(case_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(case_id.encode(), digest_size=8).digest())


def _csv(stream: IO[bytes], at: int, name: str) -> Iterator[tuple[dict[str, str], int]]:
    lines = _Lines(stream)
    try:
        fields = csv.DictReader(lines).fieldnames
        if at:
            lines.seek(at)
        for row in csv.DictReader(lines, fields):
            yield {column: cell or "" for column, cell in row.items() if column}, lines.at
    except (UnicodeDecodeError, csv.Error) as error:
        message = f"{name}: not a UTF-8 CSV table: {error}"
        raise CohortError(message) from error


class _Lines:
    """The lines of a file as text, ended as Python ends them, and how many bytes were given out."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self.at = stream, 0
        self._lines = self._read()

    def seek(self, at: int) -> None:
        self._stream.seek(at)
        self.at, self._lines = at, self._read()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        return next(self._lines)

    def _read(self) -> Iterator[str]:
        for whole in self._stream:
            for line in whole.splitlines(keepends=True):  # bytes end at \n, \r\n and \r alone
                text = line.decode("utf-8" if self.at else "utf-8-sig")
                self.at += len(line)
                yield text


def _parquet(stream: IO[bytes], at: int) -> Iterator[tuple[dict[str, str], int]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(stream)
        groups, first = [], 0
        for number in range(file.num_row_groups):
            count = file.metadata.row_group(number).num_rows
            groups += [(number, first)] if first + count > at else []
            first += count
        place = groups[0][1] if groups else 0
        for batch in file.iter_batches(1024, row_groups=[number for number, _ in groups]):
            if place + len(batch) <= at:
                place += len(batch)
                continue
            for row in batch.to_pylist():
                place += 1
                if place > at:
                    yield {str(column): _cell(value) for column, value in row.items()}, place
    except pa.ArrowException as error:
        message = f"cases.parquet: not a Parquet table: {error}"
        raise CohortError(message) from error


def _cell(value: object) -> str:
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def read_header(folder: Path) -> dict[str, Any]:
    """What `cohort.yaml` says, each key with its default.

    Raises:
        CohortError: If it is absent or not valid.
    """
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


def case_of(row: Mapping[str, str], header: Mapping[str, Any], root: Root) -> Case:
    """The case of a row; what is wrong with the row stands in its `problems`."""
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


def _paths(cell: str, root: Root, what: str, problems: list[str]) -> Iterable[Path]:
    for part in filter(None, (part.strip() for part in cell.split(SEPARATOR))):
        path = root.inside(part)
        if path is not None:
            yield path
        else:
            problems.append(f"{what} '{part}' lies outside the cohort's folder; left out")


class Root:
    """The cohort's folder, links followed; a folder of files is looked at once for many files."""

    def __init__(self, folder: Path) -> None:
        self._root = os.path.realpath(folder)
        self._folder = lru_cache(_FOLDERS)(lambda parent: os.path.realpath(os.path.join(self._root, parent)))  # noqa: PTH118

    def inside(self, part: str) -> Path | None:
        """The file with links followed, so that none leads out; None if it does."""
        if "\x00" in part:  # is no path
            return None
        parent, name = os.path.split(part)
        path = f"{self._folder(parent)}{os.sep}{name}"
        if name in ("", ".", "..") or os.path.islink(path):  # noqa: PTH114
            path = os.path.realpath(path)
        return Path(path) if path == self._root or path.startswith(self._root + os.sep) else None
