"""The audit log: entries that are only ever added, each with a hash over itself and the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from medfuse.case import Prediction
from medfuse.review.schema import ENTRIES, HEAD

START = "0" * 64  # what stands in place of a hash before the first entry
_HASHED = ("number", "at", "actor", "action", "cohort", "study", "case_id", "prediction", "key", "body")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the newest entry's number (0 if there is none) and its hash."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened.

    Attributes:
        actor: Who did it.
        action: What was done: a decision's action, `view`, `study`, `account`, `sign_in`, …
        cohort: The cohort it concerns; may be empty, as the following.
        study: The reading study.
        case_id: The case.
        prediction: Digest of the prediction that was shown or decided on.
        key: Unique in the store where given.
        body: The rest, which JSON can hold.
        number: Its place in the chain, from 1; None before it is appended.
        at: When it was appended, UTC; None before.
    """

    actor: str
    action: str
    cohort: str = ""
    study: str = ""
    case_id: str = ""
    prediction: str = ""
    key: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    number: int | None = None
    at: datetime | None = None


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, so that one content has one text; NaN is refused."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def entry_hash(row: Mapping[str, Any], previous: str) -> str:
    """SHA-256 over the canonical JSON of a row's columns followed by the previous entry's hash, hexadecimal."""
    return hashlib.sha256((canonical({name: row[name] for name in _HASHED}) + previous).encode()).hexdigest()


def prediction_digest(prediction: Prediction) -> str:
    """SHA-256 of the canonical JSON of everything that the model said of the case, hexadecimal."""
    return hashlib.sha256(canonical(asdict(prediction)).encode()).hexdigest()


def lock(connection: Connection) -> Head:
    """The end of the chain, held against every other writer until the transaction ends.

    SQLite holds the whole file by then (BEGIN IMMEDIATE); PostgreSQL holds this row.
    """
    row = connection.execute(select(HEAD.c.number, HEAD.c.hash).where(HEAD.c.id == 1).with_for_update()).one()
    return Head(row.number, row.hash)


def append(connection: Connection, head: Head, entry: Entry, *, at: datetime | None = None) -> tuple[Entry, Head]:
    """Put an entry at the end of the chain; it is stored once the transaction is.

    Args:
        connection: In a transaction that holds the head by `lock`.
        head: What `lock`, or the last `append` of this transaction, gave.
        entry: What happened.
        at: When; now if not given.

    Returns:
        The entry with its number and time, and the new end.
    """
    at = at or datetime.now(UTC)
    row = {name: getattr(entry, name) for name in _HASHED} | {
        "number": head.number + 1,
        "at": at.isoformat(timespec="microseconds"),
        "body": canonical(dict(entry.body)),
    }
    end = Head(head.number + 1, entry_hash(row, head.hash))
    connection.execute(insert(ENTRIES).values(**row, previous=head.hash, hash=end.hash))
    connection.execute(update(HEAD).where(HEAD.c.id == 1).values(number=end.number, hash=end.hash))
    return replace(entry, number=end.number, at=at), end


def entry_of(row: RowMapping) -> Entry:
    """The entry of a row of the table."""
    same = {name: row[name] for name in _HASHED if name not in ("at", "body")}
    return Entry(**same, body=json.loads(row["body"]), at=datetime.fromisoformat(row["at"]))
