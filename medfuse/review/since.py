"""What readers made of the predictions, month by month: a model that gets worse is corrected more often."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from medfuse.evaluation.intervals import wilson_interval
from medfuse.review.decision import Review


@dataclass(frozen=True, slots=True)
class Month:
    """The decisions of one month.

    Attributes:
        name: Year and month, such as `2026-11`, UTC.
        accepted: Decisions that the model's answer was right.
        overridden: Decisions that it was not.
        unclear: Decisions that could not say: uncertain, or the image was bad.
    """

    name: str
    accepted: int
    overridden: int
    unclear: int

    @property
    def share(self) -> float | None:
        """Overridden, of those that say whether the answer was right; None if there are none."""
        said = self.accepted + self.overridden
        return self.overridden / said if said else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The share's 95 % interval (Wilson); None if there is no share."""
        said = self.accepted + self.overridden
        return wilson_interval(positive=self.overridden, total=said) if said else None


def by_month(decisions: Iterable[Review]) -> list[Month]:
    """Count the decisions that stand by the month in which they were made, the oldest month first.

    Args:
        decisions: Of `ReviewStore.latest()`; comments count for nothing.
    """
    counted: dict[str, dict[str, int]] = {}
    kinds = {"accept": "accepted", "override": "overridden", "uncertain": "unclear", "bad_image": "unclear"}
    for review in decisions:
        if review.created_at is None or review.action not in kinds:
            continue
        month = counted.setdefault(f"{review.created_at:%Y-%m}", dict.fromkeys(kinds.values(), 0))
        month[kinds[review.action]] += 1
    return [Month(name, **counts) for name, counts in sorted(counted.items())]
