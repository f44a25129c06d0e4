"""Any CSV or TSV table with a column of image paths, of text, or both: radiology, fraud, objects, what you have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from medfuse.case import Split
from medfuse.cohort import SEPARATOR, Cohort
from medfuse.errors import CohortError
from medfuse.importers.columns import OPTIONS, Columns, choose_columns
from medfuse.importers.importer import Importer
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name
from medfuse.importers.row_cases import Row, cohort_of_rows, plain
from medfuse.importers.rows import TABLE_SUFFIXES, read_rows, require_columns
from medfuse.importers.splits import SPLIT_NAMES


def read_table(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    redact: str = "",
    **options: str,
) -> Cohort:
    """Fill the folder and give the cohort: a row is a case, or rows of one `case` are.

    The source is one table, or a folder with one, or a folder with a table a split (`train.csv`, `test.csv`, ...).

    Raises:
        CohortError: If the source is no table, or a column is missing or cannot be guessed.
    """
    tables = _tables_of(source)
    columns: Columns | None = None
    rows: list[Row] = []
    problems: list[str] = []
    for table, split in tables.items():
        cells = read_rows(table)
        if columns is None:
            columns = choose_columns(table, list(cells[0]), options)
        require_columns(table, _used(columns), list(cells[0]))
        for number, row in enumerate(cells, start=2):
            images = _images(table, number, row, columns, problems)
            fallback = f"{split}_row{number}" if split else ""
            rows.append(Row(number, row, tuple((image,) for image in images), fallback=fallback, split=split))
    assert columns is not None
    return cohort_of_rows(
        rows,
        columns,
        folder=folder,
        table=next(iter(tables)),
        name=safe_name(source.resolve().stem),
        task=task,
        redact=redact,
        problems=problems,
        progress=progress,
    )


TABLE = Importer(
    read=read_table,
    summary="a CSV or TSV table with image paths, text or both; or a folder with train.csv, test.csv and the like",
    tasks=("multiclass", "multilabel"),
    default_task="multiclass",
    options=OPTIONS,
)


def _tables_of(source: Path) -> dict[Path, Split | None]:
    """The tables, and the split of each where its name says so."""
    if source.is_file():
        return {source: None}
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    if len(tables) == 1:
        return {tables[0]: None}
    if len(tables) > 1 and all(table.stem.lower() in SPLIT_NAMES for table in tables):
        return {table: SPLIT_NAMES[table.stem.lower()] for table in tables}
    message = (
        f"{source}: {len(tables)} tables in the folder; name the file itself, or name them train.csv, validation.csv "
        "and test.csv"
    )
    raise CohortError(message)


def _used(columns: Columns) -> tuple[str, ...]:
    named = (columns.patient, columns.case, columns.split)
    return (*columns.image, *columns.text, *columns.label, *columns.tabular, *columns.groups, *filter(None, named))


def _images(
    table: Path, number: int, cells: Mapping[str, str], columns: Columns, problems: list[str]
) -> tuple[Path, ...]:
    found = []
    for name in (part.strip() for column in columns.image for part in plain(cells[column]).split(SEPARATOR)):
        path = file_inside(table.parent, name) if name else ""
        if isinstance(path, Path):
            found.append(path)
        elif path:
            problems.append(f"{table.name} row {number}: image '{name}' {path}; left out")
    return tuple(dict.fromkeys(found))
