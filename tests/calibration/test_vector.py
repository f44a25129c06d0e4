"""Vector scaling and its two restrictions: class-wise temperature and bias-corrected temperature."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from medfuse.calibration.bias_corrected import BiasCorrectedTemperature
from medfuse.calibration.classwise import ClasswiseTemperature
from medfuse.calibration.vector import VectorScaling
from tests.calibration.drawn import drawn, softmax

WEIGHT, BIAS = np.array([0.5, 0.8, 0.4, 1.2]), np.array([0.6, -0.4, 0.3, -0.5])
TASK = pytest.mark.parametrize("task", ["multiclass", "multilabel"])


@TASK
def test_find_what_made_the_labels(task):
    found = VectorScaling(task).fit(*drawn(task, n=20_000, weight=WEIGHT, bias=BIAS))
    np.testing.assert_allclose(found.weight_, WEIGHT, atol=0.07)
    np.testing.assert_allclose(found.bias_ - found.bias_.mean(), BIAS - BIAS.mean(), atol=0.07)
    found = ClasswiseTemperature(task).fit(*drawn(task, n=20_000, weight=WEIGHT))
    np.testing.assert_allclose(1 / found.temperature_, WEIGHT, atol=0.07)
    found = BiasCorrectedTemperature(task).fit(*drawn(task, n=20_000, weight=0.5, bias=BIAS))
    assert found.temperature_ == pytest.approx(2, rel=0.05)
    np.testing.assert_allclose(found.bias_ - found.bias_.mean(), BIAS - BIAS.mean(), atol=0.07)


def test_a_label_by_itself_is_logistic_regression():
    logits, labels = drawn("multilabel", n=5000, weight=WEIGHT, bias=BIAS, blank=0.2)
    found = VectorScaling("multilabel").fit(logits, labels)
    for c in range(4):
        known = ~np.isnan(labels[:, c])
        theirs = LogisticRegression(C=1e8, tol=1e-8).fit(logits[known, c : c + 1], labels[known, c])
        assert found.weight_[c] == pytest.approx(theirs.coef_[0, 0], abs=5e-3)
        assert found.bias_[c] == pytest.approx(theirs.intercept_[0], abs=5e-3)


def test_no_other_search_finds_less_loss():
    """The formula written plainly, searched without a gradient."""
    logits, labels = drawn("multiclass", n=120, weight=0.5, bias=[0.8, 0.0, -0.8], classes=3)

    def loss(found):
        p = softmax(logits / found[0] + found[1:])
        return -np.log(p[labels == 1]).mean() + (found[1:] ** 2).sum() / (2 * 120 * 2.0**2)

    theirs = minimize(
        loss, [1.0, 0, 0, 0], method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 9999}
    )
    found = BiasCorrectedTemperature().fit(logits, labels)
    np.testing.assert_allclose([found.temperature_, *found.bias_], theirs.x, atol=1e-3)
