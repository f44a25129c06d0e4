"""A reading study: who reads which cases, how often each is read, and when the reader sees the model's answer."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select

from medfuse.review.chain import Entry, append, canonical, entry_of, lock
from medfuse.review.decision import NAME_LIMIT, ReviewError
from medfuse.review.schema import ENTRIES
from medfuse.review.store import ReviewStore

AI = Literal["first", "second", "never"]
AIS: tuple[AI, ...] = ("first", "second", "never")


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A blinded reading study: its readers see neither each other's decisions nor, unless `ai` says so, the model's.

    Attributes:
        name: Unique in the cohort.
        readers: Who reads.
        cases: What is read.
        reads: By how many readers each case is read.
        ai: The model's answer is on the screen from the `first` look, only after the reader's own decision is stored
            and so before a `second` one, or `never`.
        arbiter: Who decides where the readers disagree, none of them; empty if nobody does.
        seed: Of the assignment.
        assigned: The cases of each reader in the order of reading, as `assign` draws them.
    """

    name: str
    readers: tuple[str, ...]
    cases: tuple[str, ...]
    reads: int = 2
    ai: AI = "never"
    arbiter: str = ""
    seed: int = 0
    assigned: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self) -> None:
        """Refuse a study that cannot be read.

        Raises:
            ReviewError: If it is not valid.
        """
        names = (self.name, *self.readers, *((self.arbiter,) if self.arbiter else ()))
        faults = {
            f"names are one line of at most {NAME_LIMIT} characters": not all(
                name.strip() == name and name and name.isprintable() and len(name) <= NAME_LIMIT for name in names
            ),
            "each reader is named once": len(set(self.readers)) < len(self.readers),
            "the arbiter is none of the readers": self.arbiter in self.readers,
            f"each case is read by 1 to {len(self.readers)} readers": not 1 <= self.reads <= len(self.readers),
            f"the AI is shown {', '.join(AIS[:-1])} or {AIS[-1]}": self.ai not in AIS,
            "there are cases, none of them twice": not self.cases or len(set(self.cases)) < len(self.cases),
        }
        for fault, present in faults.items():
            if present:
                message = f"the study is not valid: {fault}"
                raise ReviewError(message)


def assign(*, cases: Sequence[str], readers: Sequence[str], reads: int, seed: int) -> dict[str, tuple[str, ...]]:
    """Draw who reads what, in which order.

    Each case goes to `reads` readers, chance decides which; no reader has over one case more than another. Every reader
    has an order of his own, so that what comes late for one comes early for another.
    """
    rng = random.Random(seed)  # noqa: S311 - a design, not a secret
    order = list(cases)
    rng.shuffle(order)
    taken: dict[str, list[str]] = {reader: [] for reader in readers}
    for case_id in order:
        chance = {reader: (len(held), rng.random()) for reader, held in taken.items()}
        for reader in sorted(taken, key=chance.__getitem__)[:reads]:
            taken[reader].append(case_id)
    for held in taken.values():
        rng.shuffle(held)
    return {reader: tuple(held) for reader, held in taken.items()}


def create_study(store: ReviewStore, study: Study, *, actor: str) -> Study:
    """Draw the assignment of a study and store it; a study is never changed afterwards.

    Args:
        store: The decisions on the cohort that is read.
        study: What is wanted; its `assigned` is drawn here.
        actor: Who sets it up.

    Raises:
        ReviewError: If it is not valid, there is one of its name, or the database did not take it.
    """
    study.check()
    body: dict[str, Any] = {
        name: getattr(study, name) for name in ("readers", "cases", "reads", "ai", "arbiter", "seed")
    }
    body["assigned"] = assign(cases=study.cases, readers=study.readers, reads=study.reads, seed=study.seed)
    key = hashlib.sha256(canonical(["study", store.cohort, study.name]).encode()).hexdigest()
    entry = Entry(actor=actor, action="study", cohort=store.cohort, study=study.name, key=key, body=body)
    with store.database.writing("the study was not stored") as connection:
        head = lock(connection)
        if connection.execute(select(ENTRIES.c.number).where(ENTRIES.c.key == key)).first():
            message = f"there is a study '{study.name}' already; a study is never changed"
            raise ReviewError(message)
        append(connection, head, entry)
    return studies(store)[study.name]


def studies(store: ReviewStore) -> dict[str, Study]:
    """The studies of the store's cohort by name, oldest first."""
    query = select(ENTRIES).where(ENTRIES.c.cohort == store.cohort, ENTRIES.c.action == "study")
    with store.database.reading(f"{store.where}: the studies cannot be read") as connection:
        rows = connection.execute(query.order_by(ENTRIES.c.number)).mappings().all()
    return {row["study"]: _study_of(entry_of(row)) for row in rows}


def _study_of(entry: Entry) -> Study:
    body = dict(entry.body)
    for name in ("readers", "cases"):
        body[name] = tuple(body[name])
    body["assigned"] = {reader: tuple(cases) for reader, cases in body["assigned"].items()}
    return Study(name=entry.study, **body)
