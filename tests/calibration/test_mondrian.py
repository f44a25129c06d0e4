from __future__ import annotations

import json
import math

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier

from medfuse.calibration import SETS, ClassConditionalSets, ConformalSets, PatternSets
from medfuse.errors import BundleError


class Given:
    """A fitted classifier whose probabilities are its input."""

    classes_ = np.arange(3)

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return np.asarray(x)

    def predict(self, x):
        return np.asarray(x).argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


def _skewed(rng, n):
    """Three labels, the last rare and hard; probabilities that are too sure."""
    truth = rng.choice(3, size=n, p=[0.6, 0.3, 0.1])
    z = np.eye(3)[truth] * np.array([2.0, 1.5, 0.4])[truth, None] + rng.normal(size=(n, 3)) + [1.0, 0.3, -1.0]
    p = np.exp(z)
    return p / p.sum(axis=1, keepdims=True), np.eye(3)[truth]


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_marginal_sets_are_those_of_mapie(coverage):
    rng = np.random.default_rng(0)
    probability, labels = _skewed(rng, 137)
    new, _ = _skewed(rng, 500)
    theirs = SplitConformalClassifier(Given(), confidence_level=coverage, conformity_score="lac", prefit=True)
    theirs.conformalize(probability, labels.argmax(axis=1))
    expected = theirs.predict_set(new)[1][:, :, 0]
    np.testing.assert_array_equal(ConformalSets(coverage).fit(probability, labels).predict(new), expected)


def test_by_label_they_are_those_of_mapie_on_that_label_alone():
    rng = np.random.default_rng(1)
    probability, labels = _skewed(rng, 400)
    new, _ = _skewed(rng, 200)
    found = ClassConditionalSets(0.9).fit(probability, labels).predict(new)
    for c in range(3):
        own = labels[:, c] == 1
        theirs = SplitConformalClassifier(Given(), confidence_level=0.9, conformity_score="lac", prefit=True)
        theirs.conformalize(probability[own], labels[own].argmax(axis=1))
        np.testing.assert_array_equal(found[:, c], theirs.predict_set(new)[1][:, c, 0])


def test_the_rare_label_is_covered_only_by_label():
    """Exactly ceil(0.9 (n + 1)) / (n + 1) given n cases of the label; marginal sets let the rare one down."""
    rng = np.random.default_rng(2)
    held = {kind: [] for kind in (ConformalSets, ClassConditionalSets)}
    for _ in range(200):
        calibration, new = _skewed(rng, 300), _skewed(rng, 300)
        rare = new[1][:, 2] == 1
        for kind, found in held.items():
            found.append(kind(0.9).fit(*calibration).predict(new[0])[rare, 2].mean())
    assert np.mean(held[ConformalSets]) < 0.75
    assert 0.9 <= np.mean(held[ClassConditionalSets]) < 0.94


def test_multilabel_present_and_absent_are_covered_each():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(200):
        draws = []
        for _ in range(2):
            true = rng.beta(0.4, 2.0, size=(300, 2))
            draws.append((np.sqrt(true), (rng.random((300, 2)) < true).astype(float)))
        (probability, labels), (new, truth) = draws
        sets = ClassConditionalSets(0.9, "multilabel").fit(probability, labels)
        present = sets.predict(new)
        absent_limit = sets._limits()[1]
        held.append([present[truth == 1].mean(), (new <= absent_limit)[truth == 0].mean()])
    assert (np.abs(np.mean(held, axis=0) - 0.905) < 0.015).all()


def test_by_pattern_each_is_covered_and_rare_ones_share():
    rng = np.random.default_rng(4)

    def draw(n):
        probability, labels = _skewed(rng, n)
        present = rng.choice([1, 3, 7, 5], size=n, p=[0.25, 0.65, 0.05, 0.05])
        blunt = np.where((present == 1)[:, None], probability**0.2, probability)  # a note alone says less
        return blunt / blunt.sum(axis=1, keepdims=True), labels, present

    held = []
    for _ in range(150):
        sets = PatternSets(0.9).fit(*draw(300))
        new, truth, present = draw(400)
        covered = (sets.predict(new, present) & (truth == 1)).any(axis=1)
        held.append([covered[present == 1].mean(), covered[present == 3].mean(), covered[(present > 3)].mean()])
    assert set(sets.sets_) >= {1, 3}
    assert (np.mean(held, axis=0) > 0.885).all()
    assert (np.mean(held, axis=0) < 0.95).all()


def test_by_pattern_needs_the_pattern_and_an_unknown_one_gets_the_common_threshold():
    rng = np.random.default_rng(5)
    probability, labels = _skewed(rng, 100)
    present = np.where(np.arange(100) < 10, 1, 3)
    sets = PatternSets(0.9).fit(probability, labels, present)
    assert set(sets.sets_) == {3}
    assert sets.rest_.fitted_on_ == (10,)
    np.testing.assert_array_equal(
        sets.predict(probability, np.full(100, 6)), sets.predict(probability, np.full(100, 1))
    )
    with pytest.raises(ValueError, match="pattern of every case"):
        sets.predict(probability)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_stored_ones_are_the_same(name, task):
    rng = np.random.default_rng(6)
    probability, labels = _skewed(rng, 60)
    present = rng.integers(1, 4, size=60)
    sets = SETS[name](0.8, task).fit(probability, labels, present)
    again = SETS[name].from_dict(json.loads(json.dumps(sets.to_dict(), allow_nan=False)))
    for method in ("predict", "abstains"):
        np.testing.assert_array_equal(
            getattr(again, method)(probability, present), getattr(sets, method)(probability, present)
        )
    with pytest.raises(BundleError, match="bundle"):
        SETS[name].from_dict({"coverage": 0.9, "task": task})


def test_a_label_with_too_few_cases_is_never_left_out():
    probability, labels = _skewed(np.random.default_rng(7), 40)
    few = labels[:, 2] == 0
    sets = ClassConditionalSets(0.9).fit(probability[few], labels[few])
    assert sets.predict(probability)[:, 2].all()
    assert math.isclose(sets.thresholds_[2], 1.0)
