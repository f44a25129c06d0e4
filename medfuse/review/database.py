"""The database of decisions: SQLite in WAL mode or PostgreSQL, opened, migrated, read and written."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError, SQLAlchemyError

from medfuse.errors import MedfuseError
from medfuse.review.decision import ReviewError
from medfuse.review.schema import REVISION

BUSY_SECONDS = 30  # how long a writer waits for others before it gives up
_MIGRATION_LOCK = 0x6D656466  # PostgreSQL: any number, the same in every medfuse ("medf")
_TOO_NEW = "was written by a newer medfuse; update this one"


class Database:
    """A store's database, at the newest schema.

    Args:
        where: A file (SQLite), or an SQLAlchemy URL (`sqlite:///…`, `postgresql://…`).

    Raises:
        ReviewError: If it cannot be opened, or was written by a newer medfuse.
    """

    def __init__(self, where: str | Path) -> None:
        self._url = _url_of(where)
        self._engine = _engine_of(self._url)
        try:
            with self.reading(f"{self.where}: the decisions cannot be opened") as connection:
                current = _revision(connection)
            if current != REVISION:
                self._migrate(current)
        except MedfuseError:
            self.close()
            raise

    @property
    def where(self) -> str:
        """The database's URL without its password."""
        return self._url.render_as_string(hide_password=True)

    @property
    def is_sqlite(self) -> bool:
        """Whether it is a file of SQLite."""
        return self._engine.dialect.name == "sqlite"

    @property
    def file(self) -> Path | None:
        """The file of SQLite; None elsewhere."""
        return Path(self._url.database) if self.is_sqlite and self._url.database else None

    @contextmanager
    def reading(self, what: str) -> Iterator[Connection]:
        """A transaction that sees one moment; a failure is told in one line that begins with `what`."""
        with _one_line(what), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, what: str) -> Iterator[Connection]:
        """A transaction that is on disk when this ends, or has done nothing; failures are told as by `reading`."""
        with _one_line(what), self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give back the connections."""
        self._engine.dispose()

    @cached_property
    def _reader(self) -> Engine:
        return self._engine.execution_options(**({} if self.is_sqlite else {"isolation_level": "REPEATABLE READ"}))

    @cached_property
    def _writer(self) -> Engine:
        return self._engine.execution_options(medfuse_writes=True)

    def _migrate(self, current: str | None) -> None:
        from medfuse.review.migrations import KNOWN, upgrade

        if current is not None and current not in KNOWN:
            message = f"{self.where}: {_TOO_NEW}"
            raise ReviewError(message)
        with self.writing(f"{self.where}: the decisions cannot be brought to this medfuse's schema") as connection:
            if not self.is_sqlite:  # two that open an old database at once: the second waits, and finds it done
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            if (current := _revision(connection)) != REVISION:
                upgrade(connection, current)


def _revision(connection: Connection) -> str | None:
    """The schema's revision; None of an empty database. The first release did not write it down."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())
    return "1" if "reviews" in tables else None


def _url_of(where: str | Path) -> URL:
    given = str(where)
    if "://" not in given:
        path = Path(given).expanduser().resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"{path}: the folder for the decisions cannot be made: {error.strerror}"
            raise ReviewError(message) from error
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(given)
    except ArgumentError as error:
        message = "the store of decisions should be a file or a database URL"
        raise ReviewError(message) from error
    if url.get_backend_name() in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        message = f"the store of decisions is SQLite (a file) or PostgreSQL (postgresql://…), not {url.drivername}"
        raise ReviewError(message)
    return url


def _engine_of(url: URL) -> Engine:
    sqlite = url.get_backend_name() == "sqlite"
    try:
        # Parameters are hidden so that no comment gets into an error or a log.
        options = {"connect_args": {"timeout": BUSY_SECONDS}} if sqlite else {"pool_pre_ping": True}
        engine = create_engine(url, hide_parameters=True, **options)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        message = f"{url.drivername} cannot be used: {type(error).__name__}; `pip install 'medfuse[postgresql]'` has it"
        raise ReviewError(message) from error
    event.listen(engine, "connect", _prepare_sqlite if sqlite else _prepare_postgresql)
    if sqlite:
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin as `_begin_sqlite` says, and not at the driver's guess
    cursor = connection.cursor()
    # Write-ahead logging lets readers read while one writes; the mode stays with the file. SQLite does not wait for
    # others when it changes the mode, so two that open a new file at once would fail.
    deadline = monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or monotonic() > deadline:
                raise
            sleep(0.02)
    cursor.execute("PRAGMA synchronous=FULL")  # a stored decision survives a power cut
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes the right to write at once: one who reads first is refused it if another wrote since."""
    if not connection.get_execution_options().get("medfuse_writes", False):
        connection.exec_driver_sql("BEGIN")
        return
    # SQLite's own waiting sleeps the longer the longer it has waited, so that of many writers some never get their
    # turn. Here all ask equally often.
    cursor = connection.connection.cursor()
    deadline = monotonic() + BUSY_SECONDS
    try:
        cursor.execute("PRAGMA busy_timeout=0")
        while True:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                break
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or monotonic() > deadline:
                    raise
                sleep(random.uniform(0.001, 0.005))  # noqa: S311 - no secret
    finally:
        cursor.execute(f"PRAGMA busy_timeout={1000 * BUSY_SECONDS}")
        cursor.close()


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # the other bits say why


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")  # whatever the server's default: stored means on disk
        cursor.execute(f"SET lock_timeout TO '{BUSY_SECONDS}s'")
    connection.commit()


@contextmanager
def _one_line(what: str) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, UnicodeError) as error:
        # Only faults of the connection are quoted: others may quote the row.
        fault = error.orig if isinstance(error, OperationalError) else error
        told = str(fault) if isinstance(fault, sqlite3.OperationalError) or fault is not error else ""
        reason = told.splitlines()[0] if told else type(error).__name__
        message = f"{what}: {reason}"
        raise ReviewError(message) from error
