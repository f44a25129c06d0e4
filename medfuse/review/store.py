"""Where decisions are kept: one append-only table, in SQLite or any other SQLAlchemy database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    ColumnElement,
    Engine,
    Float,
    Integer,
    MetaData,
    RowMapping,
    String,
    Table,
    Text,
    case,
    create_engine,
    event,
    func,
    insert,
    select,
)
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from medfuse.cohort import Task
from medfuse.review.decision import ACTIONS, Action, Review, ReviewError

BUSY_SECONDS = 30  # how long a writer waits for another before it gives up

_TABLE = Table(
    "reviews",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("cohort", String(200), nullable=False),
    Column("case_id", String(200), nullable=False, index=True),
    Column("reader", String(200), nullable=False),
    Column("action", String(16), nullable=False),
    Column("labels", Text, nullable=False),  # a JSON list
    Column("comment", Text, nullable=False),
    Column("predicted", String(200)),
    Column("probability", Float),
    Column("bundle", String(200), nullable=False),
    Column("seconds", Float),
    Column("created_at", String(40), nullable=False),  # ISO 8601 with +00:00; SQLite's own type forgets the zone
    sqlite_autoincrement=True,  # a number is never given twice
)

# SQLite can hold the table to what the store promises; elsewhere that is a matter of the database's grants.
_APPEND_ONLY = tuple(
    DDL(  # type: ignore[no-untyped-call]
        f"CREATE TRIGGER IF NOT EXISTS reviews_no_{verb} BEFORE {verb} ON reviews "
        "BEGIN SELECT RAISE(ABORT, 'reviews are only ever added'); END"
    )
    for verb in ("update", "delete")
)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the reading is.

    Attributes:
        cases: Cases with any entry.
        by_action: Cases by the action that stands (the newest accept or override, else a comment).
        by_reader: Cases with any entry, by reader.
    """

    cases: int
    by_action: Mapping[Action, int]
    by_reader: Mapping[str, int]


class ReviewStore:
    """Readers' decisions, which are added and never changed.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = ReviewStore(Path(folder.name) / "reviews.sqlite", labels=("infection", "embolism"))
        >>> stored = store.add(Review(case_id="c1", reader="AB", action="override", labels=("embolism",)))
        >>> stored.id, [review.action for review in store.history("c1")]
        (1, ['override'])
        >>> store.close(); folder.cleanup()

    Args:
        where: A file (SQLite), or an SQLAlchemy URL.
        cohort: Name of the cohort, whose decisions alone are seen: case ids are unique only within one.
        labels: The labels that an override may choose; without them every override is refused.
        task: Whether an override chooses one label or any number.

    Raises:
        ReviewError: If the database cannot be opened.
    """

    def __init__(
        self, where: str | Path, *, cohort: str = "", labels: Sequence[str] = (), task: Task = "multiclass"
    ) -> None:
        self.cohort = cohort
        self.labels = tuple(labels)
        self.task: Task = task
        self._engine = _open(where)
        with _one_line(f"{self.where}: the decisions cannot be opened"), self._engine.begin() as connection:
            sqlite = self._engine.dialect.name == "sqlite"
            if sqlite:  # takes the right to write at once: one who reads first is refused it if another wrote since
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.execute(CreateTable(_TABLE, if_not_exists=True))
            for index in _TABLE.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
            for trigger in _APPEND_ONLY if sqlite else ():
                connection.execute(trigger)

    @property
    def where(self) -> str:
        """The database's URL without its password."""
        return self._engine.url.render_as_string(hide_password=True)

    def add(self, review: Review) -> Review:
        """Store a decision; when this returns, it is on disk.

        Returns:
            The decision with its number and time.

        Raises:
            ReviewError: If it is not valid, or the database did not take it.
        """
        review.check(labels=self.labels, task=self.task)
        stored = replace(review, reader=review.reader.strip(), created_at=datetime.now(UTC))
        with _one_line("the decision was not stored"), self._engine.begin() as connection:
            number = connection.execute(
                insert(_TABLE).values(cohort=self.cohort, **_row_of(stored))
            ).inserted_primary_key
        return replace(stored, id=number[0] if number else None)

    def history(self, case_id: str) -> tuple[Review, ...]:
        """Every decision on a case, oldest first."""
        return self._read(_TABLE.c.case_id == case_id)

    def latest(self) -> tuple[Review, ...]:
        """The decision that stands for each case and reader, oldest first.

        That is the reader's newest accept or override; a comment stands only where there is neither, so that a remark
        made afterwards does not reopen the case.
        """
        decided = func.max(case((_TABLE.c.action != "comment", _TABLE.c.id)))
        numbers = select(func.coalesce(decided, func.max(_TABLE.c.id))).where(_TABLE.c.cohort == self.cohort)
        return self._read(_TABLE.c.id.in_(numbers.group_by(_TABLE.c.case_id, _TABLE.c.reader)))

    def progress(self) -> Progress:
        """Count cases by the action that stands, and by reader."""
        latest = self.latest()
        actions = {case_id: review.action for case_id, review in standing(latest).items()}
        readers: dict[str, int] = {}
        for review in latest:
            readers[review.reader] = readers.get(review.reader, 0) + 1
        by_action = {action: sum(value == action for value in actions.values()) for action in ACTIONS}
        return Progress(cases=len(actions), by_action=by_action, by_reader=readers)

    def close(self) -> None:
        """Give back the database's connections."""
        self._engine.dispose()

    def _read(self, condition: ColumnElement[bool]) -> tuple[Review, ...]:
        query = select(_TABLE).where(_TABLE.c.cohort == self.cohort, condition).order_by(_TABLE.c.id)
        with _one_line(f"{self.where}: the decisions cannot be read"), self._engine.connect() as connection:
            return tuple(_review_of(row) for row in connection.execute(query).mappings())


def standing(decisions: Sequence[Review]) -> dict[str, Review]:
    """The one decision a case is shown with, of several readers': the newest, a comment only where nothing else is."""
    found: dict[str, Review] = {}
    for review in sorted(decisions, key=lambda review: (review.action != "comment", review.id or 0)):
        found[review.case_id] = review
    return found


def _open(where: str | Path) -> Engine:
    url = str(where)
    if "://" not in url:
        path = Path(url).expanduser().resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{path}: the folder for the decisions cannot be made: {error.strerror}"
            raise ReviewError(message) from error
        url = f"sqlite:///{path}"
    try:
        # Parameters are hidden so that no comment gets into an error or a log.
        options = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {}
        engine = create_engine(url, hide_parameters=True, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        message = f"the store of decisions should be a file or a database URL: {type(error).__name__}"
        raise ReviewError(message) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # Write-ahead logging lets readers read while one writes; the mode stays with the file. SQLite does not wait for
    # others when it changes the mode, so two that open a new file at once would fail.
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                raise
            sleep(0.02)
    cursor.execute("PRAGMA synchronous=FULL")  # a stored decision survives a power cut
    cursor.close()


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        # Only faults of the connection are quoted: others may quote the row.
        told = str(error.orig) if isinstance(error, OperationalError) else ""
        reason = told.splitlines()[0] if told else type(error).__name__
        message = f"{what}: {reason}"
        raise ReviewError(message) from error


def _row_of(review: Review) -> dict[str, Any]:
    return {
        "case_id": review.case_id,
        "reader": review.reader,
        "action": review.action,
        "labels": json.dumps(review.labels, ensure_ascii=False),
        "comment": review.comment,
        "predicted": review.predicted,
        "probability": review.probability,
        "bundle": review.bundle,
        "seconds": review.seconds,
        "created_at": review.created_at.isoformat(timespec="microseconds") if review.created_at else "",
    }


def _review_of(row: RowMapping) -> Review:
    return Review(
        **{key: row[key] for key in ("id", "case_id", "reader", "action", "comment")},
        **{key: row[key] for key in ("predicted", "probability", "bundle", "seconds")},
        labels=tuple(json.loads(row["labels"])),
        created_at=datetime.fromisoformat(row["created_at"]),
    )
