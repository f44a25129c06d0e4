"""`metadata.csv` or `metadata.jsonl` beside pictures, as Hugging Face's image folders have them, to rows.

A row names its picture by `file_name`, relative to the folder that the metadata lie in; the other columns are text,
labels and values. Source: the `ImageFolder` page of the documentation of Hugging Face datasets.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from medfuse.case import Split
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers.columns import choose_columns
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name
from medfuse.importers.row_cases import Row, cohort_of_rows
from medfuse.importers.rows import read_rows, require_columns

NAMES = ("metadata.csv", "metadata.jsonl")
FILE = "file_name"
LABEL = "label"


def metadata_of(roots: Sequence[tuple[Path, Split | None]]) -> dict[Path, Split | None]:
    """The metadata of each folder, with the folder's split; empty if no folder has any.

    Raises:
        CohortError: If only some have.
    """
    found = {path: split for root, split in roots for name in NAMES if (path := root / name).is_file()}
    if found and len(found) != len(roots):
        message = f"{next(iter(found))}: each folder of a split needs one of {', '.join(NAMES)}, or none does"
        raise CohortError(message)
    return found


def cohort_of_metadata(
    metadata: Mapping[Path, Split | None],
    options: Mapping[str, str],
    *,
    source: Path,
    folder: NewFolder,
    task: str,
    redact: str,
    progress: Callable[[int], None] | None,
) -> Cohort:
    """Fill the folder and give the cohort: a row is a case; without a `label` column a picture's folder is its label.

    Raises:
        CohortError: If the metadata cannot be read, or lack what a cohort needs.
    """
    problems: list[str] = []
    rows = [row for path, split in metadata.items() for row in _rows(path, split, problems)]
    there = list(dict.fromkeys(column for row in rows for column in row.cells))
    first = next(iter(metadata))
    return cohort_of_rows(
        [replace(row, cells={column: row.cells.get(column, "") for column in there}) for row in rows],
        choose_columns(first, there, options, files_known=True),
        folder=folder,
        table=first,
        name=safe_name(source.resolve().name),
        task=task,
        redact=redact,
        problems=problems,
        progress=progress,
    )


def _rows(path: Path, split: Split | None, problems: list[str]) -> list[Row]:
    cells = _read_json_lines(path) if path.suffix == ".jsonl" else read_rows(path)
    require_columns(path, (FILE,), list(cells[0]))
    rows = []
    for number, row in enumerate(cells, start=2 if path.suffix == ".csv" else 1):
        name = row.pop(FILE).strip()
        found = file_inside(path.parent, name) if name else "is not named"
        folders = Path(name).parts[:-1]
        if isinstance(found, Path) and LABEL not in row and folders:
            row[LABEL] = folders[0]
        if isinstance(found, str):
            problems.append(f"{path.name} row {number}: image '{name}' {found}; left out")
        scans = ((found,),) if isinstance(found, Path) else ()
        rows.append(Row(number, row, scans, fallback=f"{split or 'row'}_{number}_{Path(name).stem}", split=split))
    return rows


def _read_json_lines(path: Path) -> list[dict[str, str]]:
    """One object a line; every value as the text of a cell."""
    rows: list[dict[str, str]] = []
    columns: dict[str, None] = {}
    with path.open(encoding="utf-8-sig", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                message = f"{path} line {number}: not a JSON object; each line of a .jsonl file is one"
                raise CohortError(message) from error
            if not isinstance(row, dict):
                message = f"{path} line {number}: not a JSON object; each line of a .jsonl file is one"
                raise CohortError(message)
            rows.append({str(key): _cell(value) for key, value in row.items()})
            columns |= dict.fromkeys(rows[-1])
    if not rows:
        message = f"{path}: metadata without rows"
        raise CohortError(message)
    return [{column: row.get(column, "") for column in columns} for row in rows]


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
