from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from medfuse.calibration import dirichlet
from medfuse.calibration.beta import BetaCalibration
from medfuse.calibration.dirichlet import DirichletCalibration
from tests.calibration.drawn import drawn, softmax


@pytest.mark.parametrize("strength", [0.01, 1.0])
def test_no_other_search_finds_less_of_the_papers_objective(monkeypatch, strength):
    monkeypatch.setattr(dirichlet, "STRENGTHS", (strength,))
    logits, labels = drawn("multiclass", n=200, weight=0.5, classes=3)
    logarithm = np.log(softmax(logits))

    def loss(found):
        weight, bias = found[:9].reshape(3, 3), found[9:]
        off = sum(weight[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
        p = softmax(logarithm @ weight.T + bias)
        prior = (((weight - np.eye(3)) ** 2).sum() + (bias**2).sum()) / (2 * 200 * 2.0**2)
        return -np.log(p[labels == 1]).mean() + strength * off / 6 + strength * (bias**2).sum() / 3 + prior

    theirs = minimize(loss, np.concatenate([np.eye(3).ravel(), np.zeros(3)]), method="BFGS", options={"gtol": 1e-6})
    found = DirichletCalibration().fit(logits, labels)
    assert loss(np.concatenate([found.weight_.ravel(), found.bias_])) <= theirs.fun + 1e-7
    np.testing.assert_allclose(
        found.predict_proba(logits), softmax(logarithm @ theirs.x[:9].reshape(3, 3).T + theirs.x[9:]), atol=2e-3
    )


def test_with_little_regularisation_it_is_logistic_regression_on_log_probabilities(monkeypatch):
    monkeypatch.setattr(dirichlet, "STRENGTHS", (1e-6,))
    logits, labels = drawn("multiclass", n=2000, weight=0.5, bias=[0.5, 0, -0.5], classes=3)
    logarithm = np.log(softmax(logits))
    theirs = LogisticRegression(C=1e6, tol=1e-8, max_iter=2000).fit(logarithm, labels.argmax(axis=1))
    found = DirichletCalibration().fit(logits, labels)
    np.testing.assert_allclose(found.predict_proba(logits), theirs.predict_proba(logarithm), atol=2e-3)


def test_of_two_labels_it_is_beta_calibration(monkeypatch):
    """Kull et al. 2019, section 3: Dirichlet calibration of two classes is beta calibration (for a, b > 0)."""
    monkeypatch.setattr(dirichlet, "STRENGTHS", (1e-6,))
    logits, labels = drawn("multilabel", n=3000, weight=0.5, bias=0.4, classes=2)
    found = DirichletCalibration("multilabel").fit(logits, labels).predict_proba(logits)
    np.testing.assert_allclose(
        found, BetaCalibration("multilabel").fit(logits, labels).predict_proba(logits), atol=5e-3
    )


def test_few_cases_take_the_strong_regularisation():
    """Logits that are right already: what is off the diagonal is noise."""
    found = DirichletCalibration().fit(*drawn("multiclass", n=60, weight=1.0))
    assert found.strength_ >= 0.1
