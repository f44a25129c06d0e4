"""The audit log for reading, and entries of what was done with the whole store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from medfuse.review.chain import Entry, append, entry_of, lock
from medfuse.review.database import Database
from medfuse.review.schema import ENTRIES

MOST = 500  # entries that are read at once


def record(
    database: Database,
    action: str,
    *,
    actor: str,
    cohort: str = "",
    study: str = "",
    body: Mapping[str, Any] | None = None,
) -> Entry:
    """Write down that the store was backed up, restored into, exported or verified.

    Args:
        database: The store.
        action: `backup`, `restore`, `export` or `verify`.
        actor: Who did it.
        cohort: Whose decisions, if of one.
        study: Of which reading study, if of one.
        body: What is worth knowing of it; no content of patients.

    Raises:
        ReviewError: If the database did not take it.
    """
    entry = Entry(actor=actor, action=action, cohort=cohort, study=study, body=body or {})
    with database.writing("what was done was not written down") as connection:
        return append(connection, lock(connection), entry)[0]


def newest(
    database: Database, *, actor: str = "", action: str = "", case_id: str = "", most: int = MOST
) -> list[Entry]:
    """The newest entries, newest first.

    Args:
        database: The store.
        actor: Only of this person.
        action: Only of this kind.
        case_id: Only of this case.
        most: At most so many.
    """
    wanted = {ENTRIES.c.actor: actor, ENTRIES.c.action: action, ENTRIES.c.case_id: case_id}
    query = select(ENTRIES).where(*(column == value for column, value in wanted.items() if value))
    with database.reading(f"{database.where}: the log cannot be read") as connection:
        rows = connection.execute(query.order_by(ENTRIES.c.number.desc()).limit(most)).mappings()
        return [entry_of(row) for row in rows]


def actions(database: Database) -> tuple[str, ...]:
    """The kinds of entries that there are."""
    with database.reading(f"{database.where}: the log cannot be read") as connection:
        return tuple(sorted(connection.execute(select(ENTRIES.c.action).distinct()).scalars()))
