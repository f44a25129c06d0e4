from __future__ import annotations

import pytest

from medfuse.review.decision import COMMENT_LIMIT, Review, ReviewError

LABELS = ("infection", "embolism")
GOOD = {"case_id": "c1", "reader": "AB", "action": "accept"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"action": "override", "labels": ("embolism",)},
        {"action": "comment", "comment": "x" * COMMENT_LIMIT},
        {"predicted": "infection", "probability": 1.0, "seconds": 0.0},
    ],
)
def test_valid_decisions_pass(change: dict) -> None:
    Review(**GOOD | change).check(labels=LABELS, task="multiclass")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reader": "  "}, "who is reading"),
        ({"reader": "A\nB"}, "one line"),
        ({"reader": "A" * 201}, "one line"),
        ({"case_id": ""}, "no case"),
        ({"action": "delete"}, "one of accept, override, comment"),
        ({"action": "override"}, "chooses one label"),
        ({"action": "override", "labels": LABELS}, "chooses one label"),
        ({"action": "override", "labels": ("asthma",)}, "among the labels infection, embolism"),
        ({"labels": ("embolism",)}, "only an override"),
        ({"action": "comment"}, "needs some text"),
        ({"comment": "x" * (COMMENT_LIMIT + 1)}, "longer than"),
        ({"comment": "a\0b"}, "NUL"),
        ({"probability": 1.2}, "probability"),
        ({"probability": float("nan")}, "probability"),
        ({"seconds": float("inf")}, "seconds"),
        ({"seconds": -1.0}, "seconds"),
    ],
)
def test_invalid_decisions_are_refused(change: dict, told: str) -> None:
    with pytest.raises(ReviewError, match=told):
        Review(**GOOD | change).check(labels=LABELS, task="multiclass")


def test_multilabel_override_may_say_that_none_applies() -> None:
    for labels in ((), ("embolism",), LABELS):
        Review(**GOOD | {"action": "override", "labels": labels}).check(labels=LABELS, task="multilabel")
    with pytest.raises(ReviewError, match="each once"):
        Review(**GOOD | {"action": "override", "labels": ("embolism", "embolism")}).check(
            labels=LABELS, task="multilabel"
        )


def test_a_refusal_does_not_quote_the_comment() -> None:
    with pytest.raises(ReviewError) as caught:
        Review(**GOOD | {"comment": "Mrs Smith " * 1000}).check(labels=LABELS, task="multiclass")
    assert "Smith" not in str(caught.value)
