from __future__ import annotations

import pytest

from medfuse.review.decision import COMMENT_LIMIT, Region, Review, ReviewError

LABELS = ("infection", "embolism")
GOOD = {"case_id": "c1", "reader": "AB", "action": "accept"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"action": "override", "labels": ("embolism",)},
        {"action": "comment", "comment": "x" * COMMENT_LIMIT},
        {"predicted": "infection", "probability": 1.0, "seconds": 0.0},
        {"action": "uncertain"},
        {"action": "bad_image", "comment": "turned"},
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
        ({"action": "delete"}, "one of accept, override, uncertain, bad_image, comment"),
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
        ({"action": "undo"}, "one of accept"),
        ({"comment": "\ud800"}, "half of a character"),
        ({"action": "override", "labels": ("embolism",), "judged": LABELS}, "only in a multilabel task"),
        ({"judged": LABELS}, "only an override"),
        ({"key": "x" * 65}, "short"),
        ({"prediction": "é"}, "plain"),
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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shape": "star"}, "one of point"),
        ({"points": ((1.0, 1.0),)}, "rectangle has 2 points"),
        ({"shape": "polygon"}, "3 to 500"),
        ({"points": ((0.0, 0.0), (64.5, 1.0))}, "64 × 48"),
        ({"points": ((0.0, 0.0), (1.0, float("nan")))}, "outside"),
        ({"slice": 0}, "slice from 1"),
        ({"scan": ""}, "names its scan"),
    ],
)
def test_regions_lie_within_their_scan(change: dict, told: str) -> None:
    good = {"scan": "a.png", "shape": "rectangle", "points": ((0.0, 0.0), (64.0, 48.0)), "size": (64, 48)}
    assert Region(**good).fault() is None
    with pytest.raises(ReviewError, match=told):
        Review(**GOOD, regions=(Region(**good | change),)).check(labels=LABELS, task="multiclass")


def test_the_answer_of_a_decision() -> None:
    def answer(task: str, **given: object) -> object:
        return Review(**GOOD | given).answer(task)

    assert answer("multiclass", predicted="embolism") == {"embolism"}
    assert answer("multiclass", action="override", labels=("infection",), predicted="embolism") == {"infection"}
    assert answer("multilabel", predicted="embolism") == set()
    assert answer("multilabel", predicted="embolism", model_answer=LABELS) == set(LABELS)
    some = {"action": "override", "judged": ("infection",), "model_answer": LABELS}
    assert answer("multilabel", **some) == {"embolism"}
    assert answer("multilabel", **some | {"labels": ("infection",)}) == set(LABELS)
    for action in ("uncertain", "bad_image", "comment", "undo"):
        assert answer("multiclass", action=action, predicted="embolism") is None


def test_judged_labels_hold_the_chosen_ones() -> None:
    with pytest.raises(ReviewError, match="among those that it judges"):
        Review(**GOOD | {"action": "override", "labels": ("infection",), "judged": ("embolism",)}).check(
            labels=LABELS, task="multilabel"
        )
