from __future__ import annotations

import numpy as np
from scipy.optimize import isotonic_regression

from medfuse.calibration.isotonic import IsotonicCalibration
from tests.calibration.drawn import drawn


def test_agrees_with_scipy_at_the_calibration_cases():
    logits, labels = drawn("multilabel", n=400, weight=0.5, classes=2)
    p = IsotonicCalibration("multilabel").fit(logits, labels).predict_proba(logits)
    for c in range(2):
        order = logits[:, c].argsort()
        theirs = isotonic_regression(labels[order, c]).x
        np.testing.assert_allclose(p[order, c], theirs.clip(1 / 402, 401 / 402), atol=1e-12)


def test_by_hand():
    """0, 1, 0, 1 in order of the score: the middle two are pooled; the ends are held within 1/6 and 5/6."""
    odds = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    found = IsotonicCalibration("multilabel").fit(odds, np.array([[0.0], [1.0], [0.0], [1.0]]))
    p = found.predict_proba([[-9.0], [-1.0], [0.0], [1.0], [1.5], [9.0]])
    np.testing.assert_allclose(p[:, 0], [1 / 6, 1 / 2, 1 / 2, 1 / 2, (1 / 2 + 5 / 6) / 2, 5 / 6])
