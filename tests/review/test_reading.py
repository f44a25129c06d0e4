"""What a reader may see: nothing of the model or of others before a blinded read is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from medfuse.case import Case, Prediction
from medfuse.cohort import Cohort
from medfuse.review import ConflictError, Review, ReviewError, ReviewStore
from medfuse.review.desk import Desk
from medfuse.review.reading import Reading, withheld
from medfuse.review.roles import AccessError, Account, Role
from medfuse.review.study import AI, Study, create_study
from medfuse.review.worklist import predicted_cases

LABELS = ("a", "b")
ORDER = ("1", "2", "3")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    cases = (*(Case(one, "p") for one in ORDER[:2]), Case("3", "q"))
    cohort = Cohort(folder=tmp_path, name="x", cases=cases, labels=LABELS, task="multiclass")
    predictions = {one: Prediction(one, {"a": 0.7, "b": 0.3}, ("a",), abstain=False) for one in ORDER}
    store = ReviewStore(tmp_path / "reviews.sqlite", cohort="x", labels=LABELS)
    yield Desk(
        cohort=cohort, cases={case.case_id: case for case in cases}, predictions=predictions, problems=(), store=store,
        table=predicted_cases(cohort, predictions),
    )  # fmt: skip
    store.close()


def study(desk: Desk, ai: AI = "never") -> None:
    create_study(
        desk.store, Study(name="S", readers=("AB", "CD"), cases=("1", "2"), ai=ai, arbiter="EF"), actor="admin"
    )


def override(case_id: str, label: str) -> Review:
    return Review(case_id=case_id, reader="", action="override", labels=(label,))


def test_outside_of_a_study_all_is_seen_and_the_model_is_stored_with_the_decision(desk: Desk) -> None:
    reading = Reading(desk, "AB")
    assert reading.cases(ORDER) == ORDER
    stored = reading.add(Review(case_id="1", reader="", action="accept"), version=0)
    assert (stored.reader, stored.predicted, stored.probability, stored.model_answer) == ("AB", "a", 0.7, ("a",))
    with pytest.raises(ConflictError):
        Reading(desk, "CD").add(override("1", "b"), version=0)
    assert reading.can_undo("1")
    reading.undo("1", version=reading.version("1"))
    assert not reading.can_undo("1")
    assert [one.action for one in reading.history("1")] == ["accept", "undo"]


@pytest.mark.parametrize("ai", ["never", "second"])
def test_a_case_that_is_read_blinded_is_met_nowhere_else(desk: Desk, ai: AI) -> None:
    study(desk, ai)
    Reading(desk, "XY").add(override("1", "b"))
    outside, seat = Reading(desk, "AB"), Reading(desk, "AB", "S")
    assert outside.cases(ORDER) == ("3",)
    assert outside.prediction("1") is None
    assert outside.history("1") == ()
    with pytest.raises(ReviewError, match="blinded"):
        outside.add(override("1", "a"))
    assert set(seat.cases(ORDER)) == {"1", "2"}
    assert seat.prediction("1") is None
    assert seat.history("1") == ()
    seat.add(override("1", "b"), version=0)
    assert (seat.prediction("1") is not None) == (ai == "second")
    assert Reading(desk, "XY").prediction("1") is not None  # who does not read it is not blinded


def test_what_is_never_shown_is_free_once_all_readers_are_done(desk: Desk) -> None:
    study(desk)
    for case_id in ("1", "2"):
        Reading(desk, "AB", "S").add(override(case_id, "a"))
    assert set(withheld(desk, "AB")) == {"1", "2"}
    for case_id in ("1", "2"):
        Reading(desk, "CD", "S").add(override(case_id, "b"))
    assert withheld(desk, "AB") == set()


def test_the_arbiter_gets_what_the_readers_disagree_on(desk: Desk) -> None:
    study(desk)
    for reader, label in (("AB", "a"), ("CD", "b")):
        Reading(desk, reader, "S").add(override("1", label))
        Reading(desk, reader, "S").add(override("2", "a"))
    arbiter = Reading(desk, "EF", "S")
    assert arbiter.role == "arbiter"
    assert arbiter.cases(ORDER) == ("1",)
    assert sorted(one.labels for one in arbiter.reads("1")) == [("a",), ("b",)]
    assert {one.reader for one in arbiter.reads("1")} == {"Reader 1", "Reader 2"}
    arbiter.add(override("1", "b"))
    assert (arbiter.cases(ORDER), arbiter.state("1")) == (("1",), "done")
    arbiter.undo("1")
    assert arbiter.state("1") == "open"


def test_who_is_none_of_a_study_is_refused(desk: Desk) -> None:
    study(desk)
    with pytest.raises(ReviewError, match="no study"):
        Reading(desk, "ZZ", "S")
    with pytest.raises(ReviewError, match="no study"):
        Reading(desk, "AB", "T")


def test_other_studies_of_the_patient(desk: Desk) -> None:
    assert [one.case_id for one in desk.previous(desk.cases["1"])] == ["2"]
    assert desk.previous(desk.cases["3"]) == ()


@pytest.mark.parametrize(
    ("role", "decides"), [("reader", True), ("arbiter", True), ("admin", False), ("auditor", False)]
)
def test_a_role_decides_who_may_decide(desk: Desk, role: Role, decides: bool) -> None:
    reading = Reading(desk, "AB", account=Account("AB", role))
    assert reading.decides is decides
    reading.viewed("1")
    if decides:
        reading.add(override("1", "b"))
        reading.undo("1")
        return
    for forbidden in (lambda: reading.add(override("1", "b")), lambda: reading.undo("1")):
        with pytest.raises(AccessError):
            forbidden()
    assert desk.store.history("1") == ()


def test_a_study_is_read_by_readers_and_arbitrated_by_arbiters(desk: Desk) -> None:
    study(desk)
    Reading(desk, "AB", "S", account=Account("AB", "reader"))
    Reading(desk, "EF", "S", account=Account("EF", "arbiter"))
    for name, role in (("EF", "reader"), ("AB", "auditor")):
        with pytest.raises(AccessError):
            Reading(desk, name, "S", account=Account(name, role))
