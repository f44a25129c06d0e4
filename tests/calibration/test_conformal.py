from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.calibration import ConformalSets
from medfuse.errors import BundleError


def _multiclass(rng, n):
    probability = rng.dirichlet([0.6] * 4, size=n)
    truth = (probability.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    return probability**2 / (probability**2).sum(axis=1, keepdims=True), np.eye(4)[truth]  # not calibrated on purpose


def _multilabel(rng, n):
    probability = rng.beta(0.5, 1.5, size=(n, 3))
    return np.sqrt(probability), (rng.random((n, 3)) < probability).astype(float)


def _plainly(probability, labels, coverage):
    """The threshold by counting: the smallest score with enough scores at or below it."""
    scores = sorted(1 - p for p, y in zip(probability.ravel(), labels.ravel(), strict=True) if y == 1)
    for score in scores:
        if sum(other <= score for other in scores) >= math.ceil(round((len(scores) + 1) * coverage, 9)):
            return score
    return 1.0


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_multiclass_sets_hold_the_truth_as_often_as_they_say(coverage):
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        sets = ConformalSets(coverage).fit(*_multiclass(rng, 60))
        probability, labels = _multiclass(rng, 60)
        held.append((sets.predict(probability) & (labels == 1)).any(axis=1).mean())
    # Exactly ceil(61 × coverage) / 61 for scores without ties (Angelopoulos & Bates 2021, section 3.2).
    assert np.mean(held) == pytest.approx(math.ceil(61 * coverage) / 61, abs=0.012)


def test_multilabel_answers_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(300):
        sets = ConformalSets(0.9, "multilabel").fit(*_multilabel(rng, 60))
        probability, labels = _multilabel(rng, 60)
        present, absent = sets.predict(probability), sets.predict(1 - probability)
        held.append(np.where(labels == 1, present, absent).mean(axis=0))
    np.testing.assert_allclose(np.mean(held, axis=0), math.ceil(61 * 0.9) / 61, atol=0.015)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 60), coverage=st.sampled_from([0.5, 0.8, 0.9, 0.95]))
def test_agrees_with_counting(seed, n, coverage):
    rng = np.random.default_rng(seed)
    probability, labels = _multiclass(rng, n)
    probability = np.round(probability, 2)  # with ties
    sets = ConformalSets(coverage).fit(probability, labels)
    assert sets.thresholds_ == (_plainly(probability, labels, coverage),)
    assert sets.fitted_on_ == (n,)
    probability, labels = np.round(rng.random((n, 2)), 2), rng.integers(2, size=(n, 2)).astype(float)
    sets = ConformalSets(coverage, "multilabel").fit(probability, labels)
    for c in range(2):
        two = np.stack([1 - probability[:, c], probability[:, c]], axis=1)
        told = np.stack([1 - labels[:, c], labels[:, c]], axis=1)
        assert sets.thresholds_[c] == pytest.approx(_plainly(two, told, coverage))


@pytest.mark.parametrize(("n", "rank"), [(9, 9), (19, 18), (29, 27), (99, 90)])
def test_the_rank_is_right_where_it_falls_on_a_whole_number(n, rank):
    given = np.linspace(0.99, 0.01, n)
    probability = np.stack([given, 1 - given], axis=1)
    sets = ConformalSets(0.9).fit(probability, np.tile([1.0, 0.0], (n, 1)))
    assert sets.thresholds_[0] == pytest.approx(1 - given[rank - 1])


@pytest.mark.parametrize("n", [0, 1, 8])
def test_too_few_cases_exclude_nothing(n):
    rng = np.random.default_rng(2)
    sets = ConformalSets(0.9).fit(*_multiclass(rng, n))
    assert sets.thresholds_ == (1.0,)
    probability = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert sets.predict(probability).all()
    assert sets.abstains(probability).all()
    sets = ConformalSets(0.9, "multilabel").fit(*_multilabel(rng, n))
    assert sets.predict(np.zeros((1, 3))).all()
    assert sets.abstains(np.zeros((1, 3))).all()


def test_multiclass_abstains_unless_there_is_one_answer():
    sets = ConformalSets.from_dict({"task": "multiclass", "coverage": 0.9, "thresholds": [0.6], "fitted_on": [50]})
    probability = np.array([[0.9, 0.1, 0.0], [0.5, 0.45, 0.05], [0.34, 0.33, 0.33]])
    assert sets.predict(probability).tolist() == [[True, False, False], [True, True, False], [False, False, False]]
    assert sets.abstains(probability).tolist() == [False, True, True]


def test_multilabel_abstains_where_a_label_has_two_answers_or_none():
    stored = {"task": "multilabel", "coverage": 0.9, "thresholds": [0.6, 0.3], "fitted_on": [50, 50]}
    sets = ConformalSets.from_dict(stored)
    # First label: both are possible in 0.4…0.6. Second: neither is in 0.3…0.7.
    probability = np.array([[0.9, 0.9], [0.5, 0.9], [0.1, 0.5], [0.1, 0.1]])
    assert sets.predict(probability).tolist() == [[True, True], [True, True], [False, False], [False, False]]
    assert sets.abstains(probability).tolist() == [False, True, True, False]


def test_blank_labels_are_left_out():
    rng = np.random.default_rng(3)
    probability, labels = _multilabel(rng, 80)
    labels[:30, 1] = np.nan
    sets = ConformalSets(0.9, "multilabel").fit(probability, labels)
    assert sets.fitted_on_ == (80, 50, 80)
    alone = ConformalSets(0.9, "multilabel").fit(probability[30:, 1:2], labels[30:, 1:2])
    assert sets.thresholds_[1] == alone.thresholds_[0]
    probability, labels = _multiclass(rng, 80)
    labels[:30] = np.nan
    assert ConformalSets().fit(probability, labels).thresholds_ == (
        ConformalSets().fit(probability[30:], labels[30:]).thresholds_
    )


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 40))
def test_more_coverage_never_shrinks_a_set_and_a_stored_one_is_the_same(seed, n):
    rng = np.random.default_rng(seed)
    probability, labels = _multiclass(rng, n)
    new, _ = _multiclass(rng, 20)
    little, much = (ConformalSets(coverage).fit(probability, labels) for coverage in (0.6, 0.9))
    assert (little.predict(new) <= much.predict(new)).all()
    again = ConformalSets.from_dict(json.loads(json.dumps(much.to_dict(), allow_nan=False)))
    np.testing.assert_array_equal(again.predict(new), much.predict(new))
    assert again.to_dict() == much.to_dict()


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"task": "multiclass", "coverage": 2.0, "thresholds": [0.5], "fitted_on": [1]},
        {"task": "multiclass", "coverage": 0.9, "thresholds": 0.5, "fitted_on": [1]},
        {"task": "multiclass", "coverage": 0.9, "thresholds": [1.5], "fitted_on": [1]},
        {"task": "multiclass", "coverage": 0.9, "thresholds": [float("nan")], "fitted_on": [1]},
    ],
)
def test_a_damaged_store_is_refused(stored):
    with pytest.raises(BundleError, match="bundle"):
        ConformalSets.from_dict(stored)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="coverage"):
        ConformalSets(1.0)
    with pytest.raises(ValueError, match="probability"):
        ConformalSets().fit([[1.2, 0.0]], [[1, 0]])
    sets = ConformalSets(0.9, "multilabel").fit([[0.5, 0.5]], [[1, 0]])
    with pytest.raises(ValueError, match="labels of fit"):
        sets.predict([[0.5, 0.5, 0.5]])
