from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from statsmodels.stats import inter_rater

from medfuse.review.agreement import AgreementError, cohen_kappa, counts_of, fleiss_kappa, gwet_ac1

# Cohen 1960, the worked example: 200 cases, two judges, three categories.
COHEN = np.array([[88, 10, 2], [14, 40, 6], [18, 10, 12]])
# Gwet 2014, Handbook of Inter-Rater Reliability: 100 pregnancies by two abstractors; 12 units by four, with gaps. Its
# figures are those of his R package irrCAC.
ABSTRACTORS = np.array([[13, 0, 0], [0, 20, 7], [0, 4, 56]])
FOUR_RATERS = [
    (1, 1, None, 1), (2, 2, 3, 2), (3, 3, 3, 3), (3, 3, 3, 3), (2, 2, 2, 2), (1, 2, 3, 4), (4, 4, 4, 4), (1, 1, 2, 1),
    (2, 2, 2, 2), (None, 5, 5, 5), (None, None, 1, 1), (None, None, 3, None),
]  # fmt: skip
# Fleiss 1971, table 1: how many of six psychiatrists put each of 30 patients into each of five diagnoses.
FLEISS = np.array([
    [0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0], [2, 0, 4, 0, 0],
    [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6], [1, 0, 0, 5, 0], [1, 1, 0, 4, 0],
    [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1], [0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0],
    [0, 2, 0, 4, 0], [1, 0, 2, 0, 3], [0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0],
    [1, 0, 0, 4, 1], [0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6],
])  # fmt: skip


def test_cohens_own_example() -> None:
    found = cohen_kappa(COHEN)
    assert found.value == pytest.approx(0.492, abs=5e-4)
    assert (found.observed, found.cases) == (pytest.approx(0.70), 200)


def test_fleiss_own_example() -> None:
    assert FLEISS.sum(axis=0).tolist() == [26, 26, 30, 55, 43]  # as his table has it
    found = fleiss_kappa(FLEISS)
    assert found.value == pytest.approx(0.430, abs=5e-4)
    assert found.observed == pytest.approx(0.5556, abs=5e-5)


def test_gwets_own_examples() -> None:
    kappa, ac1 = cohen_kappa(ABSTRACTORS), gwet_ac1(as_counts(ABSTRACTORS))
    assert (kappa.value, kappa.error) == (pytest.approx(0.7964094), pytest.approx(0.05891072, rel=1e-6))
    assert ac1.value == pytest.approx(0.8493305)
    assert ac1.error * (99 / 100) ** 0.5 == pytest.approx(0.04321747)  # for two he divides by n, for more by n - 1
    counts = counts_of(FOUR_RATERS, (1, 2, 3, 4, 5))
    fleiss, ac1 = fleiss_kappa(counts), gwet_ac1(counts)
    assert [round(value, 5) for value in (fleiss.value, fleiss.low, fleiss.high)] == [0.76117, 0.42438, 1.0]
    assert [round(value, 5) for value in (ac1.value, ac1.low, ac1.high)] == [0.77544, 0.46081, 1.0]
    assert (round(ac1.observed, 3), ac1.cases) == (0.818, 11)


def as_counts(table: np.ndarray) -> np.ndarray:
    rows = []
    for one, row in enumerate(table):
        for two, cases in enumerate(row):
            counts = np.bincount([one, two], minlength=len(table))
            rows += [counts] * int(cases)
    return np.array(rows)


tables = some.integers(2, 5).flatmap(
    lambda k: some.lists(some.integers(0, 30), min_size=k * k, max_size=k * k).map(lambda c: np.reshape(c, (k, k)))
)


@settings(deadline=None)
@given(tables, some.sampled_from(["none", "linear", "quadratic"]))
def test_cohen_agrees_with_statsmodels(table: np.ndarray, weights: str) -> None:
    if (table.sum(axis=1) * table.sum(axis=0)).sum() == table.sum() ** 2:  # no cases, or all in one category
        return
    found = cohen_kappa(table, weights=weights)
    if found.value != found.value:
        return
    theirs = inter_rater.cohens_kappa(table, wt=None if weights == "none" else weights)
    assert found.value == pytest.approx(theirs.kappa, abs=1e-9)
    assert found.error == pytest.approx(theirs.std_kappa, abs=1e-7)


@settings(deadline=None)
@given(some.lists(some.lists(some.integers(0, 3), min_size=4, max_size=4), min_size=2, max_size=40))
def test_fleiss_agrees_with_statsmodels_and_two_categories_are_never_above_one(ratings: list[list[int]]) -> None:
    counts = counts_of(ratings, (0, 1, 2, 3))
    if (counts.sum(axis=0) > 0).sum() > 1:
        assert fleiss_kappa(counts).value == pytest.approx(inter_rater.fleiss_kappa(counts), abs=1e-9)
    assert gwet_ac1(counts).value <= 1 + 1e-12


@pytest.mark.slow
def test_the_intervals_hold_their_level() -> None:
    rng = np.random.default_rng(0)
    truth = {fleiss_kappa: 0.49, gwet_ac1: None}
    inside = dict.fromkeys(truth, 0)

    def draw(cases: int) -> np.ndarray:
        label = rng.choice(3, size=cases, p=(0.6, 0.3, 0.1))
        kept = rng.random((cases, 4)) < 0.7
        return np.where(kept, label[:, None], rng.choice(3, size=(cases, 4), p=(0.6, 0.3, 0.1)))

    def counted(ratings: np.ndarray) -> np.ndarray:
        return (ratings[:, :, None] == np.arange(3)).sum(axis=1)

    many = counted(draw(200_000))
    for measure in truth:
        truth[measure] = measure(many).value
    assert truth[fleiss_kappa] == pytest.approx(0.49, abs=0.01)  # 0.7 ** 2: both kept the true label
    for _ in range(600):
        counts = counted(draw(80))
        for measure, value in truth.items():
            found = measure(counts)
            inside[measure] += found.low <= value <= found.high
    for count in inside.values():
        assert 0.92 <= count / 600 <= 0.975


def test_what_has_no_agreement() -> None:
    assert np.isnan(cohen_kappa(np.array([[5, 0], [0, 0]])).value)
    assert np.isnan(fleiss_kappa(np.array([[2, 0], [2, 0]])).value)
    assert gwet_ac1(np.array([[2, 0], [2, 0]])).value == 1  # which is its point
    for wrong in (np.zeros((2, 2)), np.zeros((2, 3)), np.zeros(3)):
        with pytest.raises(AgreementError):
            cohen_kappa(wrong)
    for measure in (fleiss_kappa, gwet_ac1):
        with pytest.raises(AgreementError):
            measure(np.array([[1, 0], [0, 1]]))
    with pytest.raises(AgreementError):
        counts_of([("x",)], ("y",))
