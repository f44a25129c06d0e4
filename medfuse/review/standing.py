"""Which decisions stand: what was taken back does not, and a comment only where nothing else does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import RLock

from medfuse.review.decision import Review


def taken_back(decisions: Iterable[Review]) -> list[Review]:
    """One reader's decisions on one case, oldest first, without what was taken back and without the `undo`s."""
    left: list[Review] = []
    for review in decisions:
        if review.action == "undo":
            left = [one for one in left if one.id != review.undoes]
        else:
            left.append(review)
    return left


def standing_of(left: Sequence[Review]) -> Review | None:
    """The one that stands of what `taken_back` left: the newest, a comment only where nothing else is."""
    decided = [review for review in left if review.action != "comment"]
    return (decided or left)[-1] if left else None


def standing(decisions: Sequence[Review]) -> dict[str, Review]:
    """The one decision a case is shown with, of several readers': the newest, a comment only where nothing else is."""
    found: dict[str, Review] = {}
    for review in sorted(decisions, key=lambda review: (review.action != "comment", review.id or 0)):
        found[review.case_id] = review
    return found


class Standing:
    """What stands of every case and reader, kept up to date with each new decision.

    Decisions are never changed, so what was taken in stays right for good.

    Attributes:
        number: Of the newest decision that was taken in.
        locked: Held while decisions are taken in.
    """

    def __init__(self) -> None:
        self.number = 0
        self.locked = RLock()
        self._left: dict[tuple[str, str, str], list[Review]] = {}
        self._stands: dict[str, dict[tuple[str, str], Review]] = {}

    def take(self, review: Review) -> None:
        """Take in the next decision of the log."""
        place = (review.study, review.case_id, review.reader)
        left = self._left[place] = taken_back([*self._left.get(place, ()), review])
        stands = self._stands.setdefault(review.study, {})
        now = standing_of(left)
        if now is None:
            stands.pop(place[1:], None)
        else:
            stands[place[1:]] = now
        self.number = max(self.number, review.id or 0)

    def of(self, study: str) -> tuple[Review, ...]:
        """What stands in a study, oldest first."""
        return tuple(sorted(self._stands.get(study, {}).values(), key=lambda review: review.id or 0))
