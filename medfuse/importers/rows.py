"""Reading a table as text cells."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from difflib import get_close_matches
from pathlib import Path

from medfuse.errors import CohortError

TABLE_SUFFIXES = frozenset({".csv", ".tsv", ".xlsx"})
MOST_UNPACKED = 1 << 28  # bytes of an Excel workbook


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV, TSV or Excel file as text; the separator is told by the first line.

    UTF-8 is expected; a file that is not is read as Windows-1252, which spreadsheets write. Of a workbook the first
    sheet is read, with a date as ISO 8601.

    Raises:
        CohortError: If there is no such table.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        message = f"{path}: the table cannot be read ({error.strerror}); check the path"
        raise CohortError(message) from error
    rows = _workbook_rows(path, content) if content.startswith(b"PK\x03\x04") else _text_rows(path, content)
    if not rows:
        message = f"{path}: a table without rows"
        raise CohortError(message)
    return rows


def _text_rows(path: Path, content: bytes) -> list[dict[str, str]]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    if "\x00" in text:
        message = f"{path}: not a CSV or TSV table; save it as CSV in UTF-8"
        raise CohortError(message)
    first = text.split("\n", 1)[0]
    separator = max(",\t;", key=first.count)  # the first of equals, so a lone column is read as CSV
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
        return [{key.strip(): cell or "" for key, cell in row.items() if key} for row in reader]
    except csv.Error as error:
        message = f"{path}: not a CSV table: {error}"
        raise CohortError(message) from error


def _workbook_rows(path: Path, content: bytes) -> list[dict[str, str]]:
    import zipfile

    from openpyxl import load_workbook

    try:
        unpacked = sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(content)).infolist())
        if unpacked > MOST_UNPACKED:
            message = f"{path}: unpacks to more than {MOST_UNPACKED >> 20} MiB; save the sheet as CSV"
            raise CohortError(message)
        sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).worksheets[0]
        lines = [[_cell(value) for value in line] for line in sheet.iter_rows(values_only=True)]
    except (KeyError, ValueError, LookupError, OSError, zipfile.BadZipFile, SyntaxError, TypeError) as error:
        message = f"{path}: not an Excel workbook that can be read; save the sheet as CSV"
        raise CohortError(message) from error
    lines = [line for line in lines if any(line)]
    names = [name.strip() for name in lines[0]] if lines else []
    return [{name: cell for name, cell in zip(names, line, strict=False) if name} for line in lines[1:]]


def _cell(value: object) -> str:
    """The value as text: a whole number without a point, a day or time as ISO 8601."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() else value).isoformat()
    return "" if value is None else str(value)


def stream_rows(path: Path, needed: Sequence[str]) -> Iterator[dict[str, str]]:
    """The `needed` columns of a large CSV table in UTF-8, row by row, from the file itself or its gzip archive.

    Raises:
        CohortError: If there is no such table, it is damaged, or lacks a column.
    """
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt", encoding="utf-8-sig") if packed else path.open(encoding="utf-8-sig") as text:
            reader = csv.DictReader(text)
            require_columns(path, needed, list(reader.fieldnames or ()))
            for row in reader:
                yield {column: (row[column] or "").strip() for column in needed}
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "damaged, or not a CSV table in UTF-8"
        message = f"{path}: the table cannot be read ({reason}); fetch it again"
        raise CohortError(message) from error


def require_columns(path: Path, needed: Iterable[str], columns: Sequence[str]) -> None:
    """Check that the table has the columns.

    Raises:
        CohortError: If one is missing; the nearest names are given.
    """
    for column in needed:
        if column not in columns:
            near = get_close_matches(column, columns, n=3, cutoff=0.5)
            hint = f"nearest: {', '.join(near)}" if near else f"there are {', '.join(columns[:12])}"
            message = f"{path}: no column '{column}'; {hint}"
            raise CohortError(message)
