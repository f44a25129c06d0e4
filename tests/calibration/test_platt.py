from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from medfuse.calibration.platt import PlattScaling
from tests.calibration.drawn import drawn


class Scores(ClassifierMixin, BaseEstimator):
    """A fitted classifier whose decision is its input."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        return self

    def decision_function(self, x):
        return x[:, 0]

    def predict(self, x):
        return self.classes_[(x[:, 0] > 0).astype(int)]


@pytest.mark.parametrize("n", [12, 200])
def test_agrees_with_scikit_learn_on_each_label(n):
    logits, labels = drawn("multilabel", n=n, weight=0.6, bias=-0.5, seed=2)
    new = np.random.default_rng(1).normal(size=(40, 4)) * 2
    found = PlattScaling("multilabel").fit(logits, labels).predict_proba(new)
    for c in range(4):
        frozen = FrozenEstimator(Scores().fit(logits[:, c : c + 1], labels[:, c]))
        theirs = CalibratedClassifierCV(frozen, method="sigmoid").fit(logits[:, c : c + 1], labels[:, c])
        np.testing.assert_allclose(found[:, c], theirs.predict_proba(new[:, c : c + 1])[:, 1], atol=1e-4)


def test_multiclass_is_one_against_the_rest_normalised():
    logits, labels = drawn("multiclass", n=300, weight=0.6)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    alone = [
        PlattScaling("multilabel").fit(np.log(p / (1 - p))[:, [c]], labels[:, [c]]).predict_proba(
            np.log(p / (1 - p))[:, [c]]
        )
        for c in range(4)
    ]  # fmt: skip
    expected = np.hstack(alone) / np.hstack(alone).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(PlattScaling().fit(logits, labels).predict_proba(logits), expected, atol=1e-6)


def test_separated_cases_are_not_made_certain():
    """Six of each, perfectly apart: Platt's targets are 7/8 and 1/8, which the sigmoid can reach."""
    odds = np.repeat([[2.0], [-2.0]], 6, axis=0)
    p = PlattScaling("multilabel").fit(odds, (odds > 0).astype(float)).predict_proba([[2.0], [-2.0]])
    np.testing.assert_allclose(p[:, 0], [7 / 8, 1 / 8], atol=1e-5)
