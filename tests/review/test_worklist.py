from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from medfuse.case import Case, Prediction
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.review.decision import Review
from medfuse.review.worklist import ORDERS, narrow, predicted_cases, urgency_basis, with_decisions, worklist

LABELS = ("infection", "embolism", "nothing")


def cohort(*ids: str, **rest: object) -> Cohort:
    given = {"labels": LABELS, "urgency": {"infection": 0.5, "embolism": 1.0}, "task": "multiclass"} | rest
    return Cohort(folder=Path(), name="x", cases=tuple(Case(one, one) for one in ids), **given)


def predicted(case_id: str, *probabilities: float, **rest: object) -> Prediction:
    return Prediction(
        case_id, probabilities=dict(zip(LABELS, probabilities, strict=False)), **{"abstain": False} | rest
    )


THREE = {
    "a": predicted("a", 0.1, 0.1, 0.8, warnings=("w",), modalities=("image",)),
    "b": predicted("b", 0.2, 0.7, 0.1, prediction_set=("embolism", "infection"), abstain=True),
    "c": Prediction("c", error="scan c.dcm: no such file"),
}


def test_failed_cases_come_first_and_then_the_most_urgent() -> None:
    table = worklist(cohort("a", "b", "c"), THREE, ())
    assert table["case_id"].tolist() == ["c", "b", "a"]
    assert table["urgency"].tolist()[1:] == pytest.approx([0.2 * 0.5 + 0.7, 0.1 * 0.5 + 0.1])
    assert np.isnan(table["urgency"][0])
    assert table["label"].tolist() == ["", "embolism", "nothing"]
    assert table["probability"].tolist()[1:] == [0.7, 0.8]
    assert table["abstain"].tolist() == [True, True, False]
    assert table["warnings"].tolist() == [0, 0, 1]
    assert table["error"].tolist() == ["scan c.dcm: no such file", "", ""]


def test_probabilities_are_taken_by_label_and_not_by_place() -> None:
    turned = Prediction("a", probabilities={"nothing": 0.1, "embolism": 0.7, "infection": 0.2}, abstain=False)
    table = worklist(cohort("a"), {"a": turned}, ())
    assert table["label"][0] == "embolism"
    assert table["urgency"][0] == pytest.approx(0.8)


def test_without_urgency_the_least_sure_come_first() -> None:
    bare = cohort("a", "b", "c", urgency={})
    table = worklist(bare, THREE | {"c": predicted("c", 1 / 3, 1 / 3, 1 / 3)}, ())
    assert table["case_id"].tolist() == ["c", "b", "a"]
    assert table["urgency"][0] == pytest.approx(1.0)
    assert "least sure" in urgency_basis(bare)
    assert "embolism 1, infection 0.5, nothing 0" in urgency_basis(cohort())


def test_multilabel_uncertainty_is_highest_at_one_half() -> None:
    many = cohort("a", "b", task="multilabel", labels=LABELS[:1], urgency={})
    table = worklist(many, {"a": predicted("a", 0.5), "b": predicted("b", 0.0)}, ())
    assert table["uncertainty"].tolist() == pytest.approx([1.0, 0.0])


def test_the_state_is_the_decision_that_stands() -> None:
    def said(action: str, number: int, reader: str = "AB", predicted: str | None = "embolism") -> Review:
        labels = ("infection",) if action == "override" else ()
        return Review(case_id="b", reader=reader, action=action, labels=labels, predicted=predicted, id=number)

    def state(*decisions: Review) -> str:
        return str(worklist(cohort("b"), THREE, decisions)["state"][0])

    assert state() == "open"
    assert state(said("comment", 1)) == "commented"
    assert state(said("accept", 1)) == "accepted"
    assert state(said("accept", 1), said("override", 2, "CD")) == "overridden"
    assert state(said("accept", 1), said("comment", 2, "CD")) == "accepted"
    # Accepted when the model said something else: to be read again.
    assert state(said("accept", 1, predicted="nothing")) == "open"


def test_predictions_for_other_labels_are_refused() -> None:
    with pytest.raises(MedfuseError, match="other labels"):
        worklist(cohort("a", labels=("x", "y")), THREE, ())


def test_cases_without_a_prediction_and_predictions_without_a_case_have_no_row() -> None:
    table = worklist(cohort("a", "z"), THREE, ())
    assert table["case_id"].tolist() == ["a"]
    empty = worklist(cohort(), {}, ())
    assert len(empty) == 0
    assert list(empty) == list(table)
    assert len(narrow(empty, text="x", unsure=True)) == 0


def test_narrow_keeps_what_was_asked_for_in_order() -> None:
    table = worklist(cohort("a", "b", "c"), THREE, [Review(case_id="a", reader="AB", action="comment", id=1)])
    assert narrow(table)["case_id"].tolist() == ["c", "b", "a"]
    assert narrow(table, states=["commented"])["case_id"].tolist() == ["a"]
    assert narrow(table, labels=["embolism", "nothing"])["case_id"].tolist() == ["b", "a"]
    assert narrow(table, unsure=True, labels=["embolism"])["case_id"].tolist() == ["b"]
    assert narrow(table, text=" B ")["case_id"].tolist() == ["b"]
    assert len(narrow(table, text="(")) == 0


@settings(deadline=None, max_examples=40)
@given(some.lists(some.tuples(some.floats(0, 1), some.floats(0, 1), some.floats(0, 1)), max_size=12))
def test_every_predicted_case_has_one_row_in_order_of_urgency(rows: list) -> None:
    rows = [row for row in rows if sum(row) > 0]
    found = {f"c{i}": predicted(f"c{i}", *(p / sum(row) for p in row)) for i, row in enumerate(rows)}
    table = worklist(cohort(*found), found, ())
    assert sorted(table["case_id"]) == sorted(found)
    assert table["urgency"].is_monotonic_decreasing
    assert table["uncertainty"].between(0, 1).all()


def test_twenty_thousand_cases_take_no_longer_than_a_reader_waits() -> None:
    ids = [f"c{number}" for number in range(20_000)]
    found = {one: replace(THREE["a"], case_id=one) for one in ids}
    start = perf_counter()
    assert len(worklist(cohort(*ids), found, ())) == 20_000
    assert perf_counter() - start < 5


def test_the_order_asked_for_and_the_site_and_the_reader() -> None:
    cases = tuple(
        Case(one, one, groups={"site": site}, time=time) for one, site, time in (("a", "N", "2"), ("b", "S", "1"))
    )
    given = Cohort(folder=Path(), name="x", cases=cases, labels=LABELS, task="multiclass")
    apart = {"image": 0.3, "text": -0.1}
    found = {"a": predicted("a", 0.2, 0.7, 0.1, contributions=apart), "b": predicted("b", 0.4, 0.3, 0.3)}
    table = worklist(given, found, (Review(case_id="b", reader="AB", action="uncertain", id=1),))
    assert narrow(table, order="probability")["case_id"].tolist() == ["a", "b"]
    assert narrow(table, order="time")["case_id"].tolist() == ["b", "a"]
    assert narrow(table, order="disagreement")["disagreement"].tolist() == pytest.approx([0.1, 0])
    assert narrow(table, disagreeing=True)["case_id"].tolist() == ["a"]
    assert narrow(table, sites=["S"])["case_id"].tolist() == ["b"]
    assert narrow(table, readers=["AB"])["state"].tolist() == ["uncertain"]


def test_an_action_among_a_hundred_thousand_cases_costs_a_small_part_of_making_the_list() -> None:
    count = 100_000
    rng = np.random.default_rng(0)
    drawn = rng.dirichlet((1, 1, 1), count)
    ids = [f"case-{number:06}" for number in range(count)]
    given = cohort(*ids)
    found = {one: predicted(one, *row) for one, row in zip(ids, drawn.tolist(), strict=True)}
    decisions = tuple(
        Review(case_id=f"case-{number:06}", reader="AB", action="override", labels=("nothing",), id=number + 1)
        for number in range(0, count, 100)
    )
    start = perf_counter()
    made = predicted_cases(given, found)
    making = perf_counter() - start
    acting = []
    for order in ORDERS:
        start = perf_counter()
        shown = narrow(with_decisions(made, decisions), states=["open"], labels=["embolism"], text="9", order=order)
        acting.append(perf_counter() - start)
    assert 0 < len(shown) < count / 3
    assert (made["state"] == "open").all()  # the list itself stays as it is
    assert float(np.median(acting)) < making / 4
