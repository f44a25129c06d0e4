"""What came of a study: which cases the readers agree on, which an arbiter has to decide, and how far everybody is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Literal

from medfuse.case import Prediction
from medfuse.cohort import Task
from medfuse.review.chain import canonical, prediction_digest
from medfuse.review.decision import Review, ReviewError
from medfuse.review.seat import ReaderProgress, with_model, without_model
from medfuse.review.store import ReviewStore
from medfuse.review.study import Study, studies

Outcome = Literal["open", "agreed", "disagreed", "arbitrated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """What came of one case.

    Attributes:
        case_id: The case.
        reads: The final decision of each of its readers who is done, by reader.
        outcome: `open` until all its readers are done; `agreed` or `disagreed`; `arbitrated` once the arbiter decided.
        final: The decision that counts: of the arbiter, else the newest of readers who agree; None if there is none.
    """

    case_id: str
    reads: Mapping[str, Review]
    outcome: Outcome
    final: Review | None


def results(store: ReviewStore, study: Study) -> tuple[CaseResult, ...]:
    """What came of every case, in the study's order. For those who may see all decisions, never for a reader."""
    done: dict[str, dict[str, Review]] = {case_id: {} for case_id in study.cases}
    by_arbiter: dict[str, Review] = {}
    readers: dict[str, set[str]] = {case_id: set() for case_id in study.cases}
    for reader, cases in study.assigned.items():
        for case_id in cases:
            readers[case_id].add(reader)
    for review in store.latest(study.name):
        if review.action == "comment" or review.case_id not in done:
            continue
        if review.reader == study.arbiter:
            by_arbiter[review.case_id] = review
        elif review.reader in readers[review.case_id] and (review.ai or study.ai != "second"):
            done[review.case_id][review.reader] = review
    return tuple(
        _result(case_id, done[case_id], len(readers[case_id]), by_arbiter.get(case_id), store.task)
        for case_id in study.cases
    )


def reader_progress(store: ReviewStore, study: Study) -> tuple[ReaderProgress, ...]:
    """How far each reader is, and their reading times."""
    found = results(store, study)
    told = []
    for reader in study.readers:
        times = [one.seconds for one in store.decisions_of(reader, study=study.name) if one.seconds is not None]
        finished = sum(reader in result.reads for result in found)
        middle = median(times) if times else None
        told.append(ReaderProgress(reader, len(study.assigned[reader]), finished, sum(times), middle))
    return tuple(told)


class Arbitration:
    """The arbiter's seat in a study: the cases on which its readers disagree, and what each of them said.

    The readers stay unnamed (`Reader 1`, …), in an order that changes from case to case.

    Args:
        store: The decisions.
        study: Name of the study.
        arbiter: Who arbitrates.
        predictions: By case id.

    Raises:
        ReviewError: If there is no such study, or its arbiter is somebody else.
    """

    def __init__(self, store: ReviewStore, study: str, arbiter: str, predictions: Mapping[str, Prediction]) -> None:
        found = studies(store).get(study)
        if found is None or not arbiter or found.arbiter != arbiter:
            message = f"there is no study '{study}' in which you arbitrate"
            raise ReviewError(message)
        self.arbiter = arbiter
        self.study = found
        self._store = store
        self._predictions = predictions

    def queue(self) -> tuple[str, ...]:
        """The cases that wait for the arbiter."""
        return tuple(result.case_id for result in results(self._store, self.study) if result.outcome == "disagreed")

    def reads(self, case_id: str) -> tuple[Review, ...]:
        """What the readers of a disputed case said, without their names."""
        result = self._disputed(case_id)
        order = sorted(result.reads.values(), key=self._chance)
        if self.study.ai == "never":
            order = [without_model(review) for review in order]
        return tuple(replace(review, reader=f"Reader {place}") for place, review in enumerate(order, start=1))

    def prediction(self, case_id: str) -> Prediction | None:
        """What the model says of a disputed case; None in a study that never shows it."""
        self._disputed(case_id)
        return None if self.study.ai == "never" else self._predictions.get(case_id)

    def history(self, case_id: str) -> tuple[Review, ...]:
        """The arbiter's own decisions on a case, oldest first."""
        return self._store.history(case_id, study=self.study.name, reader=self.arbiter)

    def viewed(self, case_id: str) -> None:
        """Write down that the arbiter opened a case."""
        shown = self.prediction(case_id)
        digest = prediction_digest(shown) if shown else ""
        self._store.viewed(case_id, self.arbiter, prediction=digest, study=self.study.name)

    def add(self, review: Review, *, version: int | None = None) -> Review:
        """Store the arbiter's decision (as of `Seat.add`); the case must be one on which the readers disagree."""
        self._disputed(review.case_id)
        shown = self.study.ai != "never"
        if review.action == "accept" and not shown:
            message = "what the model says is not shown here, so it cannot be accepted; choose the labels"
            raise ReviewError(message)
        review = replace(review, reader=self.arbiter, study=self.study.name, ai=shown)
        return self._store.add(with_model(review, self._predictions.get(review.case_id)), version=version)

    def undo(self, case_id: str, *, version: int | None = None, key: str = "") -> Review:
        """Take back the arbiter's newest decision on a case."""
        return self._store.undo(case_id, self.arbiter, study=self.study.name, version=version, key=key)

    def _chance(self, review: Review) -> str:
        """An order of the readers that says nothing of who they are, and is the same each time."""
        return hashlib.sha256(canonical([self.study.seed, review.case_id, review.reader]).encode()).hexdigest()

    def _disputed(self, case_id: str) -> CaseResult:
        for result in results(self._store, self.study):
            if result.case_id == case_id and result.outcome in ("disagreed", "arbitrated"):
                return result
        message = "the readers of this case do not disagree, or have not all read it"
        raise ReviewError(message)


def _result(
    case_id: str, reads: Mapping[str, Review], wanted: int, arbitrated: Review | None, task: Task
) -> CaseResult:
    if len(reads) < wanted:
        return CaseResult(case_id=case_id, reads=reads, outcome="open", final=None)
    said = {one.action if (answer := one.answer(task)) is None else answer for one in reads.values()}
    if len(said) == 1:
        newest = max(reads.values(), key=lambda review: review.id or 0)
        return CaseResult(case_id=case_id, reads=reads, outcome="agreed", final=newest)
    outcome: Outcome = "disagreed" if arbitrated is None else "arbitrated"
    return CaseResult(case_id=case_id, reads=reads, outcome=outcome, final=arbitrated)
