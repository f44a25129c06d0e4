"""What one reader may see and do: outside of any study, in a seat of a blinded one, or as its arbiter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Literal

from medfuse.case import Prediction
from medfuse.review.arbitration import Arbitration, results
from medfuse.review.chain import prediction_digest
from medfuse.review.decision import Review, ReviewError
from medfuse.review.desk import Desk
from medfuse.review.roles import Account, Visitor
from medfuse.review.seat import Seat, with_model
from medfuse.review.standing import taken_back
from medfuse.review.study import studies

Role = Literal["open", "seat", "arbiter"]


class Reading:
    """A reader at the desk; every page asks this and not the store, so that no page can show more.

    Args:
        desk: The opened input.
        reader: Who reads.
        study: Name of a study; "" reads outside of any.
        account: Who signed in, if a login was asked for; its role decides what is allowed.

    Raises:
        ReviewError: If there is no such study, or the reader is neither a reader nor the arbiter of it.
        AccessError: If the role does not allow it.
    """

    def __init__(self, desk: Desk, reader: str, study: str = "", *, account: Account | None = None) -> None:
        self.desk, self.reader, self.study = desk, reader, study
        self._visitor = Visitor(reader, account)
        self._seat: Seat | None = None
        self._arbitration: Arbitration | None = None
        found = studies(desk.store).get(study) if study else None
        if study and found is not None and found.arbiter == reader:
            self._visitor.require("arbitrate")
            self._arbitration = Arbitration(desk.store, study, reader, desk.predictions)
        elif study:
            self._visitor.require("read")
            self._seat = Seat(desk.store, study, reader, desk.predictions)
        self.role: Role = "arbiter" if self._arbitration else "seat" if self._seat else "open"

    @property
    def decides(self) -> bool:
        """Whether decisions are the reader's to make."""
        return self._visitor.may("read")

    def cases(self, order: Sequence[str]) -> tuple[str, ...]:
        """The cases to read: the reader's own in the study's order, else those of `order` that are not withheld."""
        if self._seat:
            return self._seat.cases
        if self._arbitration:
            return (*self._arbitration.queue(), *sorted(self._decided()))  # what was decided can be corrected
        hidden = withheld(self.desk, self.reader)
        return tuple(case_id for case_id in order if case_id not in hidden) if hidden else tuple(order)

    def prediction(self, case_id: str) -> Prediction | None:
        """What the model says; None as long as the reader must not see it."""
        if self._seat:
            return self._seat.prediction(case_id)
        if self._arbitration:
            return self._arbitration.prediction(case_id)
        if case_id in withheld(self.desk, self.reader):
            return None
        return self.desk.predictions.get(case_id)

    def history(self, case_id: str) -> tuple[Review, ...]:
        """The decisions that the reader may see, oldest first."""
        if self._seat:
            return self._seat.history(case_id)
        if self._arbitration:
            return self._arbitration.history(case_id)
        if case_id in withheld(self.desk, self.reader):
            return ()
        return self.desk.store.history(case_id)

    def reads(self, case_id: str) -> tuple[Review, ...]:
        """For the arbiter: what the unnamed readers said."""
        return self._arbitration.reads(case_id) if self._arbitration else ()

    def version(self, case_id: str) -> int:
        """What `add` compares, to be asked when the case is opened."""
        if self._seat:
            return self._seat.version(case_id)
        return max((review.id or 0 for review in self.history(case_id)), default=0)

    def state(self, case_id: str) -> str:
        """Of a case in a study: `open`, `read` (once, and to be read again) or `done`; else ""."""
        if self._arbitration:
            return "done" if case_id in self._decided() else "open"
        return self._seat.state(case_id) if self._seat else ""

    def _decided(self) -> set[str]:
        assert self._arbitration is not None
        found = results(self.desk.store, self._arbitration.study)
        return {result.case_id for result in found if result.outcome == "arbitrated"}

    def viewed(self, case_id: str) -> None:
        """Write down that the case was opened."""
        if self._seat:
            self._seat.viewed(case_id)
        elif self._arbitration:
            self._arbitration.viewed(case_id)
        elif self.reader:
            shown = self.prediction(case_id)
            self.desk.store.viewed(case_id, self.reader, prediction=prediction_digest(shown) if shown else "")

    def add(self, review: Review, *, version: int | None = None) -> Review:
        """Store a decision, with what the model said.

        Raises:
            ConflictError: If somebody decided on the case since `version`.
            ReviewError: If it is not valid, not the reader's to make, or was not stored.
            AccessError: If the role does not allow it.
        """
        self._visitor.require("read")
        review = replace(review, reader=self.reader)
        if self._seat:
            return self._seat.add(review, version=version)
        if self._arbitration:
            return self._arbitration.add(review, version=version)
        if review.case_id in withheld(self.desk, self.reader):
            message = "you read this case in a blinded study; decide on it there"
            raise ReviewError(message)
        return self.desk.store.add(with_model(review, self.desk.predictions.get(review.case_id)), version=version)

    def undo(self, case_id: str, *, version: int | None = None) -> Review:
        """Take back the reader's newest decision on a case."""
        self._visitor.require("read")
        if self._seat:
            return self._seat.undo(case_id, version=version)
        if self._arbitration:
            return self._arbitration.undo(case_id, version=version)
        return self.desk.store.undo(case_id, self.reader, version=version)

    def can_undo(self, case_id: str) -> bool:
        """Whether there is a decision of the reader to take back."""
        return bool(taken_back(one for one in self.history(case_id) if one.reader == self.reader))


def withheld(desk: Desk, reader: str) -> Collection[str]:
    """The cases that the reader reads blinded and must not meet elsewhere: the model's answer, or others' decisions.

    In a study that shows the model first or second, a case is free again once its reader is done with it; in one that
    never shows it, once all readers of the study are.
    """
    hidden: set[str] = set()
    for name, study in studies(desk.store).items():
        if reader not in study.readers:
            continue
        seat = Seat(desk.store, name, reader, {})
        if study.ai == "never":
            others = (Seat(desk.store, name, other, {}) for other in study.readers)
            hidden |= set(seat.cases) if any(one.next_case() is not None for one in others) else set()
        else:
            hidden |= {case_id for case_id in seat.cases if seat.state(case_id) != "done"}
    return hidden
