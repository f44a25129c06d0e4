from __future__ import annotations

import json

import numpy as np
import pytest
from mapie.risk_control import BinaryClassificationController
from scipy.stats import binom

from medfuse.calibration import SensitivityThresholds
from medfuse.errors import BundleError


def _drawn(rng, n):
    labels = (rng.random((n, 2)) < [0.5, 0.25]).astype(float)
    return np.where(labels == 1, rng.beta(3, 2, (n, 2)), rng.beta(2, 4, (n, 2))), labels


def test_agrees_with_mapie():
    """MAPIE computes the share missed in floats and may round its count up by one case, to the safe side."""
    probability, labels = _drawn(np.random.default_rng(0), 400)
    found = SensitivityThresholds.fit(probability, labels, sensitivity=0.9, confidence=0.9)
    for c in range(2):
        scores = np.sort(probability[labels[:, c] == 1, c])
        controller = BinaryClassificationController(
            lambda p: np.stack([1 - p, p], axis=1),
            risk="recall",
            target_level=0.9,
            confidence_level=0.9,
            list_predict_params=scores,
            fwer_method="fixed_sequence",
        )
        controller.calibrate(scores, np.ones(len(scores), dtype=int))
        theirs = np.searchsorted(scores, np.max(controller.valid_predict_params))
        assert np.searchsorted(scores, found.thresholds[c]) - theirs in {0, 1}


def test_is_the_highest_threshold_that_the_binomial_tail_allows():
    """Of 100 cases 5 may be missed: P(X <= 5) = 0.0576 and P(X <= 6) = 0.117 for Binomial(100, 0.1)."""
    probability = np.linspace(0.01, 1, 100)[:, None]
    found = SensitivityThresholds.fit(probability, np.ones((100, 1)), sensitivity=0.9, confidence=0.9)
    assert found.thresholds == (pytest.approx(0.06),)


def test_holds_as_often_as_it_says():
    """The true sensitivity of a Beta(3, 2) score above a threshold is known; it may fall short in one of ten."""
    from scipy.stats import beta

    rng = np.random.default_rng(1)
    short = []
    for _ in range(400):
        found = SensitivityThresholds.fit(*_drawn(rng, 160), sensitivity=0.9, confidence=0.9)
        short.append([beta.sf(threshold or 0.0, 3, 2) < 0.9 for threshold in found.thresholds])
    assert binom.sf(np.sum(short, axis=0) - 1, 400, 0.1).min() > 0.01  # no more than one in ten
    assert np.mean(short) > 0.03  # and not out of mere caution


def test_too_few_cases_promise_nothing():
    """21 found of 21 still happens in 0.95 ** 21 = 34 % of the times with a sensitivity of 95 %."""
    probability = np.linspace(0.1, 0.9, 50)[:, None]
    labels = np.where(np.arange(50) < 44, 1.0, np.nan)[:, None]
    found = SensitivityThresholds.fit(probability, labels, sensitivity=0.95, confidence=0.9)
    assert found.thresholds == (None,)
    labels[44] = 1  # 45 do: 0.95 ** 45 = 9.9 %
    found = SensitivityThresholds.fit(probability, labels, sensitivity=0.95, confidence=0.9)
    assert found.thresholds == (pytest.approx(0.1),)
    assert found.positives == (45,)


def test_a_stored_one_is_the_same_and_a_damaged_one_refused():
    found = SensitivityThresholds.fit(*_drawn(np.random.default_rng(2), 60))
    assert SensitivityThresholds.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    with pytest.raises(BundleError, match="bundle"):
        SensitivityThresholds.from_dict({"sensitivity": 0.9})


def test_flags_what_reaches_its_threshold_and_never_what_has_none():
    found = SensitivityThresholds(0.9, 0.9, (0.3, None), (40, 2))
    assert found.flags(np.array([[0.3, 1.0], [0.29, 0.0]])).tolist() == [[True, False], [False, False]]
