from __future__ import annotations

import numpy as np
import pytest
from betacal import BetaCalibration as Theirs

from medfuse.calibration.beta import BetaCalibration
from tests.calibration.drawn import sigmoid


@pytest.mark.parametrize("shape", [(2.0, 1.0), (0.5, 0.6), (1.0, 3.0)])
@pytest.mark.filterwarnings("ignore")
def test_agrees_with_the_authors_package(shape):
    rng = np.random.default_rng(0)
    told = (rng.random(600) < 0.4).astype(float)
    p = np.where(told == 1, rng.beta(shape[0] + 1.0, shape[1], 600), rng.beta(shape[0], shape[1] + 1.0, 600))
    p = p.clip(1e-6, 1 - 1e-6)
    theirs = Theirs("abm").fit(p.reshape(-1, 1), told)
    ours = BetaCalibration("multilabel").fit(np.log(p / (1 - p))[:, None], told[:, None])
    grid = np.linspace(0.02, 0.98, 49)
    np.testing.assert_allclose(
        ours.predict_proba(np.log(grid / (1 - grid))[:, None])[:, 0], theirs.predict(grid.reshape(-1, 1)), atol=5e-4
    )


@pytest.mark.parametrize("n", [50_000])
def test_is_right_where_scores_are_beta(n):
    """Scores Beta(3, 2) of positives and Beta(1, 4) of negatives, half each: a = 2, b = 2, by Bayes' theorem."""
    rng = np.random.default_rng(1)
    told = (rng.random(n) < 0.5).astype(float)
    p = np.where(told == 1, rng.beta(3, 2, n), rng.beta(1, 4, n))
    found = BetaCalibration("multilabel").fit(np.log(p / (1 - p))[:, None], told[:, None])
    curve = found.curves_[0]
    assert curve["a"][0] == pytest.approx(2, abs=0.4)
    assert curve["b"][0] == pytest.approx(2, abs=0.4)
    grid = np.linspace(-2, 2, 9)
    s = sigmoid(grid)
    true = 12 * s**2 * (1 - s) / (12 * s**2 * (1 - s) + 4 * (1 - s) ** 3)
    np.testing.assert_allclose(found.predict_proba(grid[:, None])[:, 0], true, atol=0.03)


def test_never_turns_the_order_around():
    odds = np.linspace(-2, 2, 40)[:, None]
    p = BetaCalibration("multilabel").fit(odds, (odds < 0).astype(float)).predict_proba(odds)[:, 0]
    assert (np.diff(p) >= -1e-12).all()
