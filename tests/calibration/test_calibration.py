from __future__ import annotations

import json

import numpy as np
import pytest

from medfuse.calibration import Calibration, TemperatureScaling, calibrate, pattern_of
from medfuse.config import CalibrationConfig
from medfuse.errors import BundleError
from tests.calibration.drawn import drawn


def _fit(task="multiclass", n=200, **config):
    z, labels = drawn(task, n=n, weight=0.5, blank=0.1)
    present = np.random.default_rng(0).random((n, 2)) < 0.8
    present[:, 0] |= ~present.any(axis=1)
    logits = np.stack([np.zeros_like(z), z, z, z], axis=1)
    found = calibrate(
        logits, labels, present, CalibrationConfig(**config), task=task, patients=[str(i // 2) for i in range(n)]
    )
    return found, z, pattern_of(present), labels


def test_patterns_are_numbered_as_the_model_numbers_them():
    from medfuse.model import patterns

    modalities = ("image", "text", "tabular")
    present = [[name in pattern for name in modalities] for pattern in patterns(modalities)]
    assert pattern_of(present).tolist() == list(range(8))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_the_default_is_one_temperature_and_marginal_sets(task):
    found, z, pattern, labels = _fit(task)
    assert found.calibrator.to_dict() == TemperatureScaling(task).fit(z, labels).to_dict()
    assert found.conformal.name == "marginal"
    np.testing.assert_array_equal(found.probability(z, pattern), found.calibrator.predict_proba(z))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("patterns", ["common", "own", "withheld"])
@pytest.mark.parametrize("sets", ["marginal", "class", "pattern"])
def test_whatever_is_asked_for_survives_storing(task, patterns, sets):
    method = "auto" if (sets, patterns) == ("class", "own") else "beta"
    found, z, pattern, _ = _fit(task, method=method, patterns=patterns, sets=sets, sensitivity=0.8)
    assert found.conformal.name == sets
    again = Calibration.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    p = found.probability(z, pattern)
    np.testing.assert_array_equal(again.probability(z, pattern), p)
    np.testing.assert_array_equal(again.conformal.predict(p, pattern), found.conformal.predict(p, pattern))
    assert again.to_dict() == found.to_dict()
    card = "\n".join(again.card(list("abcd")))
    assert ("cross-fitted log loss of temperature" in card) == (method == "auto")
    assert "to find 80%" in card


def test_without_a_calibration_case_all_say_so():
    empty = np.zeros((0, 4, 3))
    found = calibrate(
        empty,
        np.zeros((0, 3)),
        np.zeros((0, 2)),
        CalibrationConfig(method="auto", sensitivity=0.9, patterns="own"),
        task="multiclass",
        patients=[],
    )
    assert found.calibrator.fitted_on_ == 0
    assert found.conformal.predict(np.full((1, 3), 1 / 3)).all()
    assert found.sensitivity.thresholds == (None, None, None)


def test_a_bundle_of_the_first_format_is_read():
    old = {
        "temperature": {"name": "temperature", "task": "multiclass", "temperature": 2.0, "fitted_on": 9},
        "conformal": {"name": "lac", "task": "multiclass", "coverage": 0.9, "thresholds": [0.7], "fitted_on": [9]},
    }
    found = Calibration.from_dict(old)
    assert found.calibrator.temperature_ == 2
    assert found.conformal.thresholds_ == (0.7,)


@pytest.mark.parametrize("stored", [{}, {"calibrator": {"name": "magic"}, "conformal": {}}, {"calibrator": 3}])
def test_a_damaged_store_is_refused(stored):
    with pytest.raises(BundleError, match="bundle"):
        Calibration.from_dict(stored)
