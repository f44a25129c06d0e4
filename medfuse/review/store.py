"""Where decisions are kept: each is one entry of the audit log, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, func, select

from medfuse.cohort import Task
from medfuse.review.chain import Entry, append, entry_of, lock
from medfuse.review.database import Database
from medfuse.review.decision import ACTIONS, Action, ConflictError, Review, ReviewError
from medfuse.review.entries import entry_of_review, review_of_entry
from medfuse.review.schema import ENTRIES
from medfuse.review.standing import Standing, standing, taken_back

__all__ = ["Progress", "ReviewStore", "standing"]

DECISIONS = (*ACTIONS, "undo")


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
    """Readers' decisions on one cohort, which are added and never changed.

    Decisions outside of any study are seen by all readers; those of a reading study only through `medfuse.review.seat`.

    Example:
        >>> import tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> store = ReviewStore(Path(folder.name) / "reviews.sqlite", labels=("infection", "embolism"))
        >>> stored = store.add(Review(case_id="c1", reader="AB", action="override", labels=("embolism",)))
        >>> stored.id, [review.action for review in store.history("c1")]
        (1, ['override'])
        >>> store.close(); folder.cleanup()

    Args:
        where: A file (SQLite), an SQLAlchemy URL, or an open database.
        cohort: Name of the cohort, whose decisions alone are seen: case ids are unique only within one.
        labels: The labels that an override may choose; without them every override is refused.
        task: Whether an override chooses one label or any number.

    Raises:
        ReviewError: If the database cannot be opened.
    """

    def __init__(
        self, where: str | Path | Database, *, cohort: str = "", labels: Sequence[str] = (), task: Task = "multiclass"
    ) -> None:
        self.cohort = cohort
        self.labels = tuple(labels)
        self.task: Task = task
        self.database = where if isinstance(where, Database) else Database(where)
        self._standing = Standing()

    @property
    def where(self) -> str:
        """The database's URL without its password."""
        return self.database.where

    def add(self, review: Review, *, version: int | None = None) -> Review:
        """Store a decision; when this returns, it is on disk.

        Args:
            review: The decision. One with a `key` that is stored already is not stored again.
            version: What `version` said when the reader opened the case: if anybody decided since, nothing is stored.
                None stores in any case.

        Returns:
            The decision with its number and time, and what it corrects.

        Raises:
            ConflictError: If somebody decided on the case since `version`.
            ReviewError: If it is not valid, or the database did not take it.
        """
        review.check(labels=self.labels, task=self.task)
        return self._append(replace(review, reader=review.reader.strip()), version=version)

    def undo(self, case_id: str, reader: str, *, study: str = "", version: int | None = None, key: str = "") -> Review:
        """Take back the reader's newest decision or comment on a case; it stays in the history.

        What the reader decided before stands again.

        Returns:
            The stored `undo`, which names what it took back.

        Raises:
            ConflictError: As of `add`.
            ReviewError: If the reader has nothing there to take back, or the database did not take it.
        """
        return self._append(
            Review(case_id=case_id, reader=reader.strip(), action="undo", study=study, key=key), version=version
        )

    def viewed(self, case_id: str, reader: str, *, prediction: str = "", study: str = "") -> None:
        """Write down that a reader opened a case.

        Args:
            case_id: The case.
            reader: Who.
            prediction: Digest of the prediction that was on the screen (`prediction_digest`); empty if none was.
            study: The reading study, if it is read for one.

        Raises:
            ReviewError: If the ids are not valid, or the database did not take it.
        """
        Review(case_id=case_id, reader=reader, action="accept", prediction=prediction).check(labels=(), task=self.task)
        entry = Entry(
            actor=reader.strip(), action="view", case_id=case_id, prediction=prediction, cohort=self.cohort, study=study
        )
        with self.database.writing("the view was not written down") as connection:
            append(connection, lock(connection), entry)

    def version(self, case_id: str, *, study: str = "", reader: str | None = None) -> int:
        """Number of the newest decision on a case, 0 if there is none; with `reader`, of this reader's."""
        newest = select(func.max(ENTRIES.c.number)).where(*self._of(case_id, study=study, reader=reader))
        with self.database.reading(self._unread) as connection:
            return connection.execute(newest).scalar() or 0

    def history(self, case_id: str, *, study: str = "", reader: str | None = None) -> tuple[Review, ...]:
        """Every decision on a case, oldest first, with what was taken back and the `undo` that did it.

        Args:
            case_id: The case.
            study: Those of this reading study; outside of any by default.
            reader: Only this reader's.
        """
        with self.database.reading(self._unread) as connection:
            return self._history(connection, case_id, study=study, reader=reader)

    def latest(self, study: str = "") -> tuple[Review, ...]:
        """The decision that stands for each case and reader, oldest first.

        That is the reader's newest decision that was not taken back; a comment stands only where there is no other, so
        that a remark made afterwards does not reopen the case. Only what is new since the last call is read.
        """
        query = select(ENTRIES).where(ENTRIES.c.cohort == self.cohort, ENTRIES.c.action.in_(DECISIONS))
        with self._standing.locked, self.database.reading(self._unread) as connection:
            new = connection.execute(query.where(ENTRIES.c.number > self._standing.number).order_by(ENTRIES.c.number))
            for row in new.mappings():
                self._standing.take(review_of_entry(entry_of(row)))
            return self._standing.of(study)

    def decisions(self, study: str = "") -> tuple[Review, ...]:
        """Every decision on every case of a study (outside of any by default), oldest first, undone ones too."""
        query = select(ENTRIES).where(ENTRIES.c.cohort == self.cohort, ENTRIES.c.study == study)
        with self.database.reading(self._unread) as connection:
            rows = connection.execute(query.where(ENTRIES.c.action.in_(DECISIONS)).order_by(ENTRIES.c.number))
            return tuple(review_of_entry(entry_of(row)) for row in rows.mappings())

    def decisions_of(self, reader: str, *, study: str, after: int = 0) -> tuple[Review, ...]:
        """One reader's decisions in a study, oldest first, from the one that follows number `after`."""
        mine = (ENTRIES.c.actor == reader, ENTRIES.c.action.in_(DECISIONS), ENTRIES.c.number > after)
        query = select(ENTRIES).where(*mine, ENTRIES.c.cohort == self.cohort, ENTRIES.c.study == study)
        with self.database.reading(self._unread) as connection:
            rows = connection.execute(query.order_by(ENTRIES.c.number)).mappings()
            return tuple(review_of_entry(entry_of(row)) for row in rows)

    def last_view(self, case_id: str, reader: str, *, study: str = "") -> datetime | None:
        """When a reader opened a case last; None if never."""
        query = select(func.max(ENTRIES.c.number)).where(ENTRIES.c.actor == reader, ENTRIES.c.action == "view")
        of_case = (ENTRIES.c.case_id == case_id, ENTRIES.c.cohort == self.cohort, ENTRIES.c.study == study)
        at = select(ENTRIES.c.at).where(ENTRIES.c.number == query.where(*of_case).scalar_subquery())
        with self.database.reading(self._unread) as connection:
            found = connection.execute(at).scalar()
        return datetime.fromisoformat(found) if found else None

    def progress(self, study: str = "") -> Progress:
        """Count cases by the action that stands, and by reader."""
        latest = self.latest(study)
        actions = {case_id: review.action for case_id, review in standing(latest).items()}
        readers: dict[str, int] = {}
        for review in latest:
            readers[review.reader] = readers.get(review.reader, 0) + 1
        by_action = {action: sum(value == action for value in actions.values()) for action in ACTIONS}
        return Progress(cases=len(actions), by_action=by_action, by_reader=readers)

    def close(self) -> None:
        """Give back the database's connections."""
        self.database.close()

    @property
    def _unread(self) -> str:
        return f"{self.where}: the decisions cannot be read"

    def _of(self, case_id: str, *, study: str, reader: str | None) -> list:
        found = [ENTRIES.c.cohort == self.cohort, ENTRIES.c.study == study, ENTRIES.c.case_id == case_id]
        found.append(ENTRIES.c.action.in_(DECISIONS))
        return found if reader is None else [*found, ENTRIES.c.actor == reader]

    def _history(
        self, connection: Connection, case_id: str, *, study: str, reader: str | None = None
    ) -> tuple[Review, ...]:
        query = select(ENTRIES).where(*self._of(case_id, study=study, reader=reader)).order_by(ENTRIES.c.number)
        return tuple(review_of_entry(entry_of(row)) for row in connection.execute(query).mappings())

    def _append(self, review: Review, *, version: int | None) -> Review:
        with self.database.writing("the decision was not stored") as connection:
            head = lock(connection)
            if review.key and (stored := self._stored(connection, review)):
                return stored
            # In a study readers do not see each other, so they cannot be in each other's way either.
            seen_by = review.reader if review.study else None
            before = self._history(connection, review.case_id, study=review.study, reader=seen_by)
            newer = tuple(one for one in before if version is not None and (one.id or 0) > version)
            if newer:
                raise ConflictError(newer, newer[-1].id or 0)
            mine = taken_back(one for one in before if one.reader == review.reader)
            if review.action == "undo":
                if not mine:
                    message = "there is nothing of yours on this case to take back"
                    raise ReviewError(message)
                review = replace(review, undoes=mine[-1].id)
            elif review.action != "comment":
                review = replace(review, corrects=next((m.id for m in reversed(mine) if m.action != "comment"), None))
            entry, _ = append(connection, head, entry_of_review(review, cohort=self.cohort))
        return review_of_entry(entry)

    def _stored(self, connection: Connection, review: Review) -> Review | None:
        """What is stored under the review's key."""
        row = connection.execute(select(ENTRIES).where(ENTRIES.c.key == review.key)).mappings().one_or_none()
        if row is None:
            return None
        stored = review_of_entry(entry_of(row))
        same = ("case_id", "reader", "action", "labels", "study")
        if row["cohort"] != self.cohort or any(getattr(stored, name) != getattr(review, name) for name in same):
            message = "the decision was not stored: its key belongs to another"
            raise ReviewError(message)
        return stored
