"""A decision as an entry of the audit log, and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from medfuse.review.chain import Entry
from medfuse.review.decision import Region, Review

_BODY = (
    *("labels", "judged", "comment", "regions", "predicted", "probability", "model_answer", "bundle", "ai"),
    *("seconds", "corrects", "undoes"),
)
_PLAIN = Review(case_id="", reader="", action="accept")


def entry_of_review(review: Review, *, cohort: str) -> Entry:
    """The entry that stores a decision; what is as it is by default is left out of its body."""
    body: dict[str, Any] = {name: getattr(review, name) for name in _BODY}
    body = {name: value for name, value in body.items() if value != getattr(_PLAIN, name)}
    if review.regions:
        body["regions"] = [asdict(region) for region in review.regions]
    return Entry(
        actor=review.reader,
        action=review.action,
        cohort=cohort,
        study=review.study,
        case_id=review.case_id,
        prediction=review.prediction,
        key=review.key or None,
        body=body,
    )


def review_of_entry(entry: Entry) -> Review:
    """The decision that an entry stores."""
    body = dict(entry.body)
    for name in ("labels", "judged", "model_answer"):
        if name in body:
            body[name] = tuple(body[name])
    if "regions" in body:
        body["regions"] = tuple(_region_of(region) for region in body["regions"])
    return Review(
        case_id=entry.case_id,
        reader=entry.actor,
        action=entry.action,  # type: ignore[arg-type]
        study=entry.study,
        prediction=entry.prediction,
        key=entry.key or "",
        id=entry.number,
        created_at=entry.at,
        **body,
    )


def _region_of(stored: dict[str, Any]) -> Region:
    points = tuple((x, y) for x, y in stored["points"])
    return Region(**stored | {"points": points, "size": tuple(stored["size"])})
