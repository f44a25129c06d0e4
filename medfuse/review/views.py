"""Saved views of the worklist: each reader's own filters under a name, kept as entries of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from medfuse.review.chain import Entry, append, entry_of, lock
from medfuse.review.decision import ReviewError
from medfuse.review.schema import ENTRIES
from medfuse.review.store import ReviewStore

NAME = 60  # characters of a view's name
MOST = 50  # views of a reader


def views(store: ReviewStore, reader: str) -> dict[str, dict[str, Any]]:
    """A reader's views of the store's cohort by name, in alphabetical order; each is its filters."""
    mine = (ENTRIES.c.actor == reader, ENTRIES.c.action == "view_saved", ENTRIES.c.cohort == store.cohort)
    with store.database.reading(f"{store.where}: the saved views cannot be read") as connection:
        rows = connection.execute(select(ENTRIES).where(*mine).order_by(ENTRIES.c.number)).mappings().all()
    found: dict[str, dict[str, Any]] = {}
    for body in (entry_of(row).body for row in rows):
        found.pop(body["name"], None)
        if body["filters"] is not None:
            found[body["name"]] = dict(body["filters"])
    return dict(sorted(found.items()))


def save_view(store: ReviewStore, reader: str, name: str, filters: Mapping[str, Any] | None) -> None:
    """Keep filters under a name; one of the name is replaced, and None removes it.

    Args:
        store: The decisions of the cohort.
        reader: Whose view it is.
        name: Of the view.
        filters: By field of the worklist; texts, numbers, booleans and lists of texts.

    Raises:
        ReviewError: If it is not valid, or the database did not take it.
    """
    held = views(store, reader)
    faults = {
        "say who is reading before you save a view": not reader.strip(),
        f"a view's name is one line of 1 to {NAME} characters": (
            not name.strip() or not name.isprintable() or len(name) > NAME
        ),
        f"there are {MOST} views already; delete one": (filters is not None and name not in held and len(held) >= MOST),
    }
    for fault, present in faults.items():
        if present:
            raise ReviewError(fault)
    body = {"name": name, "filters": None if filters is None else dict(filters)}
    entry = Entry(actor=reader, action="view_saved", cohort=store.cohort, body=body)
    with store.database.writing("the view was not stored") as connection:
        append(connection, lock(connection), entry)
