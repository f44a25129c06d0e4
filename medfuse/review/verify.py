"""Whether a store is as medfuse left it: every entry fits its hash and the one before, every row its entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, text
from sqlalchemy.exc import SQLAlchemyError

from medfuse.review.chain import START, Head, canonical, entry_hash
from medfuse.review.database import Database
from medfuse.review.decision import ReviewError
from medfuse.review.schema import ACCOUNTS, ENTRIES, HEAD, SESSIONS

_BATCH = 1000  # entries that are in memory at once
_MOST = 100  # faults that are told; a chain that is broken everywhere needs no longer list


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found.

    Attributes:
        entries: How many entries there are.
        anchor: The end of the chain, `NUMBER:HASH`. Kept outside of the database, it proves later that nothing up to
            there was changed, left out or written anew.
        faults: What is wrong, one line each; empty if nothing is.
    """

    entries: int
    anchor: str
    faults: tuple[str, ...]


def verify(database: Database, *, anchor: str | None = None) -> Verification:
    """Check the whole store.

    Args:
        database: The store.
        anchor: What an earlier verification gave.

    Raises:
        ReviewError: If the database cannot be read at all, or the anchor is none.
    """
    with database.reading(f"{database.where}: the store cannot be verified") as connection:
        return check(connection, anchor=anchor)


def check(connection: Connection, *, anchor: str | None = None) -> Verification:
    """As `verify`, within a transaction."""
    noted = _head_of(anchor) if anchor else None
    faults: list[str] = []
    if connection.dialect.name == "sqlite":
        found = [str(line) for (line,) in connection.execute(text("PRAGMA integrity_check(10)"))]
        faults += [f"the file is damaged: {line}" for line in found if line != "ok"]
    end = Head(0, START)
    try:
        for end, fault in _walk(connection):
            faults += [] if fault is None else [fault]
            if noted and end.number == noted.number and end.hash != noted.hash:
                faults.append(f"entry {end.number} is not the one of the anchor")
        if noted and noted.number > end.number:
            faults.append(f"the anchor is of entry {noted.number}, and there are only {end.number}")
        heads = [tuple(row) for row in connection.execute(select(HEAD.c.id, HEAD.c.number, HEAD.c.hash))]
        if heads != [(1, end.number, end.hash)]:
            faults.append(f"the newest entry is {end.number}, and the head says otherwise")
        faults += [*_accounts(connection), *_sessions(connection)]
    except (SQLAlchemyError, UnicodeError, ValueError, TypeError, KeyError) as error:
        # Bytes that are no text, or no JSON: the error could quote them.
        faults.append(f"what follows entry {end.number} cannot be read: {type(error).__name__}")
    if len(faults) > _MOST:
        faults = [*faults[:_MOST], f"and {len(faults) - _MOST} more"]
    return Verification(end.number, str(end), tuple(faults))


def account_digest(row: Mapping[str, Any]) -> str:
    """SHA-256 of an account's row, as its newest entry has it."""
    told = {column.name: row[column.name] for column in ACCOUNTS.columns}
    return hashlib.sha256(canonical(told).encode()).hexdigest()


def _walk(connection: Connection) -> Iterator[tuple[Head, str | None]]:
    """The end after each entry, with what is wrong with the entry."""
    before = Head(0, START)
    rows = connection.execution_options(yield_per=_BATCH).execute(select(ENTRIES).order_by(ENTRIES.c.number))
    for row in rows.mappings():
        fault = None
        if row["number"] != before.number + 1:
            fault = f"between entry {before.number} and entry {row['number']} entries are missing"
        elif row["previous"] != before.hash:
            fault = f"entry {row['number']} does not follow the one before"
        else:
            try:
                fits = entry_hash(dict(row), row["previous"]) == row["hash"]
            except (TypeError, ValueError):  # a column that is no text any more
                fits = False
            fault = None if fits else f"entry {row['number']} was changed: its hash does not fit"
        before = Head(int(row["number"]), str(row["hash"]))
        yield before, fault


def _accounts(connection: Connection) -> Iterator[str]:
    changes = select(ENTRIES.c.body).where(ENTRIES.c.action == "account").order_by(ENTRIES.c.number)
    noted = {body["name"]: body["digest"] for body in map(json.loads, connection.execute(changes).scalars())}
    rows = {row["name"]: dict(row) for row in connection.execute(select(ACCOUNTS)).mappings()}
    for name in sorted(noted.keys() | rows.keys(), key=str):
        if name not in noted or name not in rows or account_digest(rows[name]) != noted[name]:
            yield "an account is not as the log says"


def _sessions(connection: Connection) -> Iterator[str]:
    joined = select(SESSIONS.c.token, ENTRIES.c.action, ENTRIES.c.body).outerjoin(
        ENTRIES, ENTRIES.c.number == SESSIONS.c.entry
    )
    for token, action, body in connection.execute(joined):
        if action != "sign_in" or json.loads(body)["token"] != token:
            yield "a session does not fit its sign-in"


def _head_of(anchor: str) -> Head:
    number, colon, digest = anchor.strip().partition(":")
    if not (colon and number.isdecimal() and len(digest) == 64):
        message = "an anchor reads NUMBER:HASH, as `medfuse review verify` prints it"
        raise ReviewError(message)
    return Head(int(number), digest)
