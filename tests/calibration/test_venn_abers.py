from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression
from venn_abers import VennAbers as Theirs

from medfuse.calibration.venn_abers import VennAbers
from tests.calibration.drawn import drawn, sigmoid


@pytest.mark.parametrize("n", [10, 150])
@pytest.mark.parametrize("ties", [False, True])
def test_agrees_with_the_authors_package(n, ties):
    logits, labels = drawn("multilabel", n=n, weight=0.6, classes=1, seed=4)
    logits = np.round(logits, 1) if ties else logits
    new = np.random.default_rng(5).normal(size=(60, 1)) * 3
    found = VennAbers("multilabel").fit(logits, labels)
    theirs = Theirs()
    two = [np.hstack([1 - sigmoid(z), sigmoid(z)]) for z in (logits, new)]
    theirs.fit(two[0], labels[:, 0])
    merged, both = theirs.predict_proba(two[1])
    np.testing.assert_allclose(found.predict_proba(new)[:, 0], merged[:, 1], atol=1e-9)
    zero, one = found.both(found.curves_[0], new[:, 0])
    np.testing.assert_allclose(np.stack([zero, one], axis=1), both, atol=1e-9)


def test_is_isotonic_regression_with_the_new_case_added():
    """The definition itself, case by case."""
    logits, labels = drawn("multilabel", n=40, classes=1, seed=6)
    found = VennAbers("multilabel").fit(logits, labels)
    for s in np.linspace(-4, 4, 23):
        pair = []
        for value in (0.0, 1.0):
            x, y = np.append(logits[:, 0], s), np.append(labels[:, 0], value)
            pair.append(IsotonicRegression().fit(x, y).predict([s])[0])
        zero, one = found.both(found.curves_[0], np.array([s]))
        np.testing.assert_allclose([zero[0], one[0]], pair, atol=1e-9)


def test_many_scores_are_rounded_and_little_changes():
    logits, labels = drawn("multilabel", n=3000, weight=0.6, classes=1)
    found = VennAbers("multilabel").fit(logits, labels)
    assert len(found.curves_[0]["odds"]) <= 500
    p, true = found.predict_proba(logits), sigmoid(0.6 * logits)
    assert np.abs(p - true).mean() < 0.03
