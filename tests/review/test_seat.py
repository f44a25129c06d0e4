from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from medfuse.case import Prediction
from medfuse.review.arbitration import Arbitration, reader_progress, results
from medfuse.review.chain import prediction_digest
from medfuse.review.decision import ConflictError, Review, ReviewError
from medfuse.review.seat import Seat
from medfuse.review.store import ReviewStore
from medfuse.review.study import Study, assign, create_study, studies

LABELS = ("infection", "embolism")
CASES = ("c1", "c2", "c3")
SAID = {
    one: Prediction(one, probabilities={"infection": 0.2, "embolism": 0.8}, prediction_set=("embolism",), bundle="ab12")
    for one in CASES
}


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    return ReviewStore(tmp_path / "reviews.sqlite", cohort="ward", labels=LABELS)


def seats(store: ReviewStore, **given: object) -> tuple[Seat, Seat]:
    study = Study(**{"name": "s", "readers": ("AB", "CD"), "cases": CASES, "arbiter": "ZZ"} | given)
    create_study(store, study, actor="boss")
    return Seat(store, "s", "AB", SAID), Seat(store, "s", "CD", SAID)


def says(case_id: str, label: str = "infection", **rest: object) -> Review:
    return Review(**{"case_id": case_id, "reader": "", "action": "override", "labels": (label,)} | rest)


def test_a_blinded_reader_gets_at_nothing_of_the_other(store: ReviewStore) -> None:
    one, two = seats(store)
    two.add(says("c1", "embolism", comment="wedge"))
    assert one.history("c1") == ()
    assert one.version("c1") == 0
    assert one.state("c1") == "open"
    assert one.progress().done == 0
    # Nothing of a study is seen outside of it, and the other's decision is in nobody's way.
    assert store.latest() == store.history("c1") == ()
    assert one.add(says("c1"), version=0).reader == "AB"
    assert [review.reader for review in one.history("c1")] == ["AB"]
    assert two.study.assigned.keys() == {"CD"}
    with pytest.raises(ReviewError, match="no study 's' in which you read"):
        Seat(store, "s", "ZZ", SAID)
    with pytest.raises(ReviewError, match="in which you read"):
        Seat(store, "other", "AB", SAID)


def test_where_the_ai_is_never_shown_nothing_tells_what_it_says(store: ReviewStore) -> None:
    one, _ = seats(store, ai="never")
    with pytest.raises(ReviewError, match="cannot be accepted"):
        one.add(Review(case_id="c1", reader="", action="accept"))
    one.viewed("c1")
    stored = one.add(says("c1"))
    assert (stored.predicted, stored.probability, stored.model_answer, stored.prediction) == (None, None, (), "")
    assert (one.prediction("c1"), one.predictions(), one.history("c1")) == (None, {}, (stored,))
    assert "embolism" not in repr(one.history("c1"))
    # What the model said is kept all the same, for the analysis.
    (kept,) = store.history("c1", study="s")
    assert (kept.predicted, kept.probability, kept.ai, kept.prediction) == (
        "embolism", 0.8, False, prediction_digest(SAID["c1"])
    )  # fmt: skip


def test_the_ai_comes_second_once_the_first_decision_is_stored(store: ReviewStore) -> None:
    one, _ = seats(store, ai="second")
    one.add(Review(case_id="c1", reader="", action="comment", comment="hm"))
    assert one.prediction("c1") is None
    first = one.add(says("c1"))
    assert (one.state("c1"), one.prediction("c1"), first.predicted) == ("read", SAID["c1"], "embolism")
    assert one.prediction("c2") is None
    second = one.add(Review(case_id="c1", reader="", action="accept"))
    assert (second.ai, second.corrects, one.state("c1")) == (True, first.id, "done")
    assert [review.ai for review in store.history("c1", study="s")] == [False, False, True]
    # Whoever saw the answer has seen it, whatever is taken back.
    one.undo("c1"), one.undo("c1")
    assert one.state("c1") == "open"
    assert one.prediction("c1") == SAID["c1"]
    assert one.add(says("c1")).ai


def test_the_ai_first_can_be_accepted(store: ReviewStore) -> None:
    one, _ = seats(store, ai="first")
    assert one.predictions() == SAID
    stored = one.add(
        Review(case_id="c1", reader="somebody else", action="accept", study="another", predicted="infection")
    )
    assert (stored.reader, stored.study, stored.predicted, stored.ai) == ("AB", "s", "embolism", True)
    assert one.state("c1") == "done"


def test_cases_of_others_are_refused(store: ReviewStore) -> None:
    one, two = seats(store, reads=1, cases=("c1", "c2"))
    (foreign,) = set(two.cases)
    for act in (one.history, one.prediction, one.viewed, one.undo, one.state, lambda case: one.add(says(case))):
        with pytest.raises(ReviewError, match="not among those"):
            act(foreign)


def test_the_same_reader_at_two_screens(store: ReviewStore) -> None:
    one, _ = seats(store)
    again = Seat(store, "s", "AB", SAID)
    seen = again.version("c1")
    first = one.add(says("c1"), version=0)
    with pytest.raises(ConflictError) as caught:
        again.add(says("c1", "embolism"), version=seen)
    assert [review.id for review in caught.value.newer] == [first.id]
    assert again.history("c1") == (first,)


def test_a_conflict_does_not_tell_what_the_model_says(store: ReviewStore) -> None:
    one, _ = seats(store)
    one.add(says("c1"))
    with pytest.raises(ConflictError) as caught:
        one.add(says("c1"), version=0)
    assert "embolism" not in repr(caught.value.newer)


def test_reading_time_is_kept_or_taken_from_the_log(store: ReviewStore) -> None:
    one, _ = seats(store)
    assert one.add(says("c1", seconds=30.0)).seconds == 30.0
    assert one.add(says("c2")).seconds is None  # never opened
    one.viewed("c3")
    assert 0 <= one.add(says("c3")).seconds < 20
    told = one.progress()
    assert (told.assigned, told.done, 30 <= told.seconds < 50) == (3, 3, True)
    assert one.next_case() is None


def test_disagreements_wait_for_the_arbiter(store: ReviewStore) -> None:
    one, two = seats(store)
    for seat, labels in ((one, ("infection", "infection", "embolism")), (two, ("infection", "embolism", "embolism"))):
        for case_id, label in zip(CASES, labels, strict=True):
            seat.add(says(case_id, label, comment=f"from {seat.reader}"))
    desk = Arbitration(store, "s", "ZZ", SAID)
    assert desk.queue() == ("c2",)
    reads = desk.reads("c2")
    assert {review.labels for review in reads} == {("infection",), ("embolism",)}
    assert [review.reader for review in reads] == ["Reader 1", "Reader 2"]
    assert {review.predicted for review in reads} == {None}
    assert desk.prediction("c2") is None
    with pytest.raises(ReviewError, match="do not disagree"):
        desk.add(says("c1"))
    with pytest.raises(ReviewError, match="in which you arbitrate"):
        Arbitration(store, "s", "AB", SAID)
    desk.viewed("c2")
    decided = desk.add(says("c2", "embolism"))
    assert desk.queue() == ()
    found = {result.case_id: result for result in results(store, studies(store)["s"])}
    assert [found[case_id].outcome for case_id in CASES] == ["agreed", "arbitrated", "agreed"]
    assert found["c2"].final.id == decided.id
    assert found["c3"].final.labels == ("embolism",)
    assert one.history("c2")[-1].reader == "AB"  # the arbiter's decision is no part of a reader's history
    desk.undo("c2")
    assert desk.queue() == ("c2",)
    assert [(told.reader, told.done) for told in reader_progress(store, studies(store)["s"])] == [("AB", 3), ("CD", 3)]


def test_uncertain_and_bad_image_disagree_with_a_label(store: ReviewStore) -> None:
    one, two = seats(store)
    one.add(says("c1", action="uncertain", labels=()))
    assert {result.outcome for result in results(store, studies(store)["s"])} == {"open"}
    two.add(says("c1", action="bad_image", labels=()))
    assert Arbitration(store, "s", "ZZ", SAID).queue() == ("c1",)


def test_with_the_ai_second_only_the_second_look_counts(store: ReviewStore) -> None:
    one, two = seats(store, ai="second")
    one.add(says("c1")), two.add(says("c1", "embolism"))
    study = studies(store)["s"]
    assert results(store, study)[0].outcome == "open"
    one.add(says("c1", "embolism")), two.add(Review(case_id="c1", reader="", action="accept"))
    assert results(store, study)[0].outcome == "agreed"


def test_a_study_is_stored_once_and_checked(store: ReviewStore) -> None:
    good = Study(name="s", readers=("AB", "CD"), cases=CASES)
    stored = create_study(store, good, actor="boss")
    assert studies(ReviewStore(store.where, cohort="ward")) == {"s": stored}
    assert studies(ReviewStore(store.where, cohort="other")) == {}
    with pytest.raises(ReviewError, match="already"):
        create_study(store, good, actor="boss")
    faults = {"reads": 3, "readers": ("AB", "AB"), "arbiter": "AB", "ai": "maybe", "cases": (), "name": " "}
    for name, value in faults.items():
        with pytest.raises(ReviewError, match="not valid"):
            create_study(store, replace(good, **{"name": "t", name: value}), actor="boss")


@settings(deadline=None, max_examples=60)
@given(some.integers(1, 40), some.integers(1, 7), some.data())
def test_assignments_are_balanced(cases: int, readers: int, data: some.DataObject) -> None:
    reads = data.draw(some.integers(1, readers))
    ids, names = [f"c{number}" for number in range(cases)], [f"R{number}" for number in range(readers)]
    drawn = assign(cases=ids, readers=names, reads=reads, seed=data.draw(some.integers(0, 99)))
    counted = Counter(case_id for held in drawn.values() for case_id in held)
    assert counted == dict.fromkeys(ids, reads)
    assert all(len(set(held)) == len(held) for held in drawn.values())
    sizes = [len(held) for held in drawn.values()]
    assert max(sizes) - min(sizes) <= 1
