"""A reader's seat in a blinded study: all that this reader may see and do, and no way to more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import median
from typing import Literal

from medfuse.case import Prediction
from medfuse.review.chain import prediction_digest
from medfuse.review.decision import ConflictError, Review, ReviewError
from medfuse.review.standing import standing_of, taken_back
from medfuse.review.store import ReviewStore
from medfuse.review.study import Study, studies

State = Literal["open", "read", "done"]


@dataclass(frozen=True, slots=True)
class ReaderProgress:
    """How far one reader is.

    Attributes:
        reader: Who.
        assigned: How many cases are theirs.
        done: How many of them need nothing more.
        seconds: All reading time, of the decisions whose time is known.
        median_seconds: Per decision; None if no time is known.
    """

    reader: str
    assigned: int
    done: int
    seconds: float
    median_seconds: float | None


class Seat:
    """One reader in one study.

    What is asked of the database is asked for this reader alone, and the prediction of a case is handed out only once
    the study lets the reader see it; so a page that has nothing but the seat can show nothing else.

    Args:
        store: The decisions.
        study: Name of the study.
        reader: Who reads.
        predictions: By case id; may hold more cases than the reader's.

    Raises:
        ReviewError: If there is no such study, or the reader is not one of it.
    """

    def __init__(self, store: ReviewStore, study: str, reader: str, predictions: Mapping[str, Prediction]) -> None:
        found = studies(store).get(study)
        if found is None or reader not in found.readers:
            message = f"there is no study '{study}' in which you read"
            raise ReviewError(message)
        self.study: Study = replace(found, assigned={reader: found.assigned[reader]})
        self.reader = reader
        self.cases = found.assigned[reader]
        self._store = store
        self._predictions = {one: predictions[one] for one in self.cases if one in predictions}
        self._own: dict[str, list[Review]] = {case_id: [] for case_id in self.cases}
        self._number = 0

    def sees_prediction(self, case_id: str) -> bool:
        """Whether the reader may see what the model says of a case now.

        Once shown it stays so: who took the first decision back has seen the answer all the same.
        """
        if self.study.ai == "second":
            return any(review.action not in ("comment", "undo") for review in self._decisions(case_id))
        self._own_case(case_id)
        return self.study.ai == "first"

    def prediction(self, case_id: str) -> Prediction | None:
        """What the model says of a case; None as long as the reader must not see it, or there is none."""
        return self._predictions.get(case_id) if self.sees_prediction(case_id) else None

    def predictions(self) -> dict[str, Prediction]:
        """What the model says of those cases of which the reader may see it now."""
        return {case_id: found for case_id, found in self._predictions.items() if self.sees_prediction(case_id)}

    def history(self, case_id: str) -> tuple[Review, ...]:
        """The reader's own decisions on a case, oldest first, without what they must not see of the model."""
        shown = self.sees_prediction(case_id)
        return tuple(review if shown else without_model(review) for review in self._decisions(case_id))

    def standing(self, case_id: str) -> Review | None:
        """The reader's decision that stands on a case."""
        return standing_of(taken_back(self.history(case_id)))

    def state(self, case_id: str) -> State:
        """`open`, `read` once (the second look, with the model's answer, is to come), or `done`."""
        return self._state(self._decisions(case_id))

    def next_case(self) -> str | None:
        """The case to read next: the first in the reader's order that is not done; None if all are."""
        self._read_new()
        return next((case_id for case_id in self.cases if self._state(self._own[case_id]) != "done"), None)

    def progress(self) -> ReaderProgress:
        """How far the reader is."""
        self._read_new()
        times = [one.seconds for own in self._own.values() for one in own if one.seconds is not None]
        done = sum(self._state(own) == "done" for own in self._own.values())
        return ReaderProgress(self.reader, len(self.cases), done, sum(times), median(times) if times else None)

    def version(self, case_id: str) -> int:
        """Number of the reader's newest decision on a case, for `add`: the same reader may sit at two screens."""
        return max((review.id or 0 for review in self._decisions(case_id)), default=0)

    def viewed(self, case_id: str) -> None:
        """Write down that the reader opened a case, and whether the model's answer was shown."""
        self._own_case(case_id)
        shown = self.prediction(case_id)
        digest = prediction_digest(shown) if shown else ""
        self._store.viewed(case_id, self.reader, prediction=digest, study=self.study.name)

    def add(self, review: Review, *, version: int | None = None) -> Review:
        """Store a decision; reader, study and what the model said are filled in here, the time if it is not given.

        Raises:
            ConflictError: If the reader decided on the case since `version`, at another screen.
            ReviewError: If the case is not the reader's, a prediction is accepted that was not shown, or as of
                `ReviewStore.add`.
        """
        self._own_case(review.case_id)
        shown = self.sees_prediction(review.case_id)
        if review.action == "accept" and not shown:
            message = "what the model says is not shown here, so it cannot be accepted; choose the labels"
            raise ReviewError(message)
        review = replace(review, reader=self.reader, study=self.study.name, ai=shown)
        review = with_model(review, self._predictions.get(review.case_id))
        if review.seconds is None:
            review = replace(review, seconds=self._seconds(review.case_id))
        try:
            stored = self._store.add(review, version=version)
        except ConflictError as error:
            raise self._told(error) from None
        return stored if self.sees_prediction(review.case_id) else without_model(stored)

    def undo(self, case_id: str, *, version: int | None = None, key: str = "") -> Review:
        """Take back the reader's newest decision or comment on a case (as of `ReviewStore.undo`)."""
        self._own_case(case_id)
        try:
            return self._store.undo(case_id, self.reader, study=self.study.name, version=version, key=key)
        except ConflictError as error:
            raise self._told(error) from None

    def _told(self, error: ConflictError) -> ConflictError:
        """The conflict without what the reader must not see of the model."""
        shown = self.sees_prediction(error.newer[0].case_id)
        return ConflictError(error.newer if shown else tuple(map(without_model, error.newer)), error.version)

    def _own_case(self, case_id: str) -> None:
        if case_id not in self._own:
            message = "this case is not among those that you read in this study"
            raise ReviewError(message)

    def _decisions(self, case_id: str) -> list[Review]:
        self._own_case(case_id)
        self._read_new()
        return self._own[case_id]

    def _read_new(self) -> None:
        for review in self._store.decisions_of(self.reader, study=self.study.name, after=self._number):
            if review.case_id in self._own:
                self._own[review.case_id].append(review)
            self._number = max(self._number, review.id or 0)

    def _state(self, own: Sequence[Review]) -> State:
        stands = standing_of(taken_back(own))
        if stands is None or stands.action == "comment":
            return "open"
        return "read" if self.study.ai == "second" and not stands.ai else "done"

    def _seconds(self, case_id: str) -> float | None:
        """Since the reader opened the case."""
        opened = self._store.last_view(case_id, self.reader, study=self.study.name)
        return None if opened is None else round(max(0.0, (datetime.now(UTC) - opened).total_seconds()), 1)


def with_model(review: Review, prediction: Prediction | None) -> Review:
    """The decision with what the model said, taken from the prediction itself."""
    if prediction is None:
        return without_model(review)
    best = max(prediction.probabilities, key=prediction.probabilities.__getitem__, default=None)
    return replace(
        review,
        predicted=best,
        probability=None if best is None else prediction.probabilities[best],
        model_answer=prediction.prediction_set,
        bundle=prediction.bundle,
        prediction=prediction_digest(prediction),
    )


def without_model(review: Review) -> Review:
    """The decision without anything that tells what the model said."""
    return replace(review, predicted=None, probability=None, model_answer=(), bundle="", prediction="")
