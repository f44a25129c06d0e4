"""Backup and restore: a copy of one moment, verified before it counts."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, islice
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select, update

from medfuse.review.chain import canonical
from medfuse.review.database import Database
from medfuse.review.decision import ReviewError
from medfuse.review.log import record
from medfuse.review.schema import ACCOUNTS, ENTRIES, HEAD, REVISION
from medfuse.review.verify import Verification, check, verify

_SQLITE = b"SQLite format 3\0"
_TABLES = {table.name: table for table in (ENTRIES, ACCOUNTS)}  # who is signed in is not kept
_BATCH = 500  # rows that are inserted at once


def backup(database: Database, out: Path, *, actor: str = "") -> Verification:
    """Copy a store while others go on using it: SQLite as a file of SQLite, PostgreSQL as JSON lines.

    Args:
        database: The store.
        out: The file to make; it must not exist.
        actor: Who asks for it; then the store's log tells of it, after the copy.

    Returns:
        What verifying the copy found; it has no faults.

    Raises:
        ReviewError: If the copy cannot be made, or does not verify; then there is no file.
    """
    if out.exists():
        message = f"{out}: is there already; name a new file"
        raise ReviewError(message)
    partial = out.with_name(out.name + ".partial")
    partial.unlink(missing_ok=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if database.file is not None:
            _copy_sqlite(database.file, partial)
        else:
            _write_lines(database, partial)
        found = _verified(partial)
        with partial.open("rb") as stream:
            os.fsync(stream.fileno())
        os.replace(partial, out)
    except (OSError, sqlite3.Error) as error:
        message = f"{out}: the backup was not made: {getattr(error, 'strerror', None) or type(error).__name__}"
        raise ReviewError(message) from error
    finally:
        for rest in (partial, *(partial.with_name(partial.name + tail) for tail in ("-wal", "-shm"))):
            rest.unlink(missing_ok=True)
    if actor:
        record(database, "backup", actor=actor, body={"anchor": found.anchor})
    return found


def restore(source: Path, database: Database, *, actor: str = "") -> Verification:
    """Fill an empty store from a backup, of either kind; all of it or nothing.

    Args:
        source: What `backup` made.
        database: The empty store.
        actor: Who asks for it; then the log tells of it, after the entries of the backup.

    Returns:
        What verifying the restored entries found; it has no faults.

    Raises:
        ReviewError: If the backup is damaged or does not verify, or the store is not empty.
    """
    with database.writing("the backup was not restored") as connection:
        if connection.execute(select(ENTRIES.c.number).limit(1)).first() is not None:
            message = f"{database.where}: holds entries already; restore into a new store"
            raise ReviewError(message)
        with tempfile.TemporaryDirectory() as folder:
            for name, rows in _batches(_rows_of(source, Path(folder))):
                connection.execute(insert(_TABLES[name]), rows)
        newest = select(ENTRIES.c.number, ENTRIES.c.hash).order_by(ENTRIES.c.number.desc()).limit(1)
        if (last := connection.execute(newest).first()) is not None:
            connection.execute(update(HEAD).where(HEAD.c.id == 1).values(number=last.number, hash=last.hash))
        found = check(connection)
        if found.faults:
            message = f"{source}: the backup does not verify and was not restored: {found.faults[0]}"
            raise ReviewError(message)
    if actor:
        record(database, "restore", actor=actor, body={"anchor": found.anchor})
    return found


def _copy_sqlite(source: Path, out: Path) -> None:
    reading = f"{source.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(reading, uri=True)) as live, closing(sqlite3.connect(out)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without others beside it


def _write_lines(database: Database, out: Path) -> None:
    digest, count = hashlib.sha256(), 0
    with database.reading("the backup was not made") as connection, out.open("wb") as stream:
        lines: Iterator[dict[str, Any]] = (
            {"table": table.name, "row": dict(row)}
            for table in _TABLES.values()
            for row in connection.execution_options(yield_per=_BATCH)
            .execute(select(table).order_by(*table.primary_key))
            .mappings()
        )
        for line in chain([{"medfuse_review_backup": 1, "schema": REVISION}], lines):
            written = canonical(line).encode() + b"\n"
            digest.update(written)
            stream.write(written)
            count += 1
        stream.write(canonical({"lines": count, "sha256": digest.hexdigest()}).encode() + b"\n")


def _verified(partial: Path) -> Verification:
    """The copy, opened as a restore would."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Database(Path(folder) / "trial.sqlite")
        try:
            return restore(partial, trial)
        finally:
            trial.close()


def _rows_of(source: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with source.open("rb") as stream:
            start = stream.read(len(_SQLITE))
    except OSError as error:
        message = f"{source}: the backup cannot be read: {error.strerror}"
        raise ReviewError(message) from error
    yield from _rows_of_sqlite(source, folder) if start == _SQLITE else _rows_of_lines(source)


def _rows_of_sqlite(source: Path, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a copy, which may be of an older schema; the backup itself is not touched."""
    try:
        _copy_sqlite(source, folder / "copy.sqlite")  # also what a store that is in use has only in its log file
    except sqlite3.Error as error:
        message = f"{source}: the backup cannot be read: {type(error).__name__}"
        raise ReviewError(message) from error
    copy = Database(folder / "copy.sqlite")
    try:
        if faults := verify(copy).faults:
            message = f"{source}: the backup does not verify and was not restored: {faults[0]}"
            raise ReviewError(message)
        with copy.reading(f"{source}: the backup cannot be read") as connection:
            for name, table in _TABLES.items():
                for row in connection.execution_options(yield_per=_BATCH).execute(select(table)).mappings():
                    yield name, dict(row)
    finally:
        copy.close()


def _rows_of_lines(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    digest, count, last = hashlib.sha256(), 0, b""
    damaged = f"{source}: is not a whole backup of medfuse: its lines do not fit its digest; nothing was restored"
    try:
        with source.open("rb") as stream:
            for line in stream:
                if last:
                    digest.update(last)
                    count += 1
                    content = json.loads(last)
                    if count == 1 and (content.get("medfuse_review_backup"), content.get("schema")) != (1, REVISION):
                        message = f"{source}: is no backup of this medfuse"
                        raise ReviewError(message)
                    if count > 1:
                        yield content["table"], content["row"]
                last = line
        if json.loads(last) != {"lines": count, "sha256": digest.hexdigest()}:
            raise ReviewError(damaged)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReviewError(damaged) from error


def _batches(rows: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    while batch := list(islice(rows, _BATCH)):
        for name in _TABLES:
            if found := [row for table, row in batch if table == name]:
                yield name, found
