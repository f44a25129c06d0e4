from __future__ import annotations

import math

import numpy as np
import pytest

from medfuse.calibration.patterns import PatternCalibrators
from medfuse.calibration.temperature import TemperatureScaling
from tests.calibration.drawn import drawn

SEED = 3


def _cases(task, *, n, second, seed=SEED):
    """Two modalities; where only the first is there (pattern 1) the model's logits are `second` times too large."""
    rng = np.random.default_rng(seed)
    z, labels = drawn(task, n=n, seed=seed)
    present = np.where(rng.random(n) < 0.3, 1, 3)
    logits = np.stack([np.zeros_like(z), z * second, z, z], axis=1)
    logits[present == 1, 3] = logits[present == 1, 1]
    return logits, labels, present


def _fit(task, cases, served="own"):
    patients = [str(n) for n in range(len(cases[1]))]
    return PatternCalibrators.fit(lambda: TemperatureScaling(task), *cases, served=served, patients=patients)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("served", ["own", "withheld"])
def test_a_pattern_that_differs_gets_its_own(task, served):
    found = _fit(task, _cases(task, n=1500, second=4.0), served)
    assert math.isfinite(found.worth)
    assert found.patterns[1].temperature_ == pytest.approx(4, rel=0.15)
    assert found.patterns[3].temperature_ == pytest.approx(1, rel=0.15)
    own = int((_cases(task, n=1500, second=4.0)[2] == 1).sum())
    assert found.patterns[1].fitted_on_ == (1500 if served == "withheld" else own)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_patterns_that_do_not_differ_share_the_common_one(task):
    kept = [_fit(task, _cases(task, n=200, second=1.0, seed=seed)).worth for seed in range(6)]
    assert kept.count(math.inf) >= 5


def test_the_pool_is_the_mean_of_the_inverse_temperatures():
    def at(temperature, n):
        return TemperatureScaling.from_dict({"task": "multiclass", "temperature": temperature, "fitted_on": n})

    pool = PatternCalibrators(at(1.0, 400), {1: at(4.0, 100)}, worth=300.0)
    z = np.array([[2.0, 0.0, -1.0], [2.0, 0.0, -1.0]])
    p = np.exp(pool.log_proba(z, np.array([1, 3])))
    mixed = 0.25 / 4 + 0.75 / 1
    np.testing.assert_allclose(p[0], np.exp(z[0] * mixed) / np.exp(z[0] * mixed).sum())
    np.testing.assert_allclose(p[1], np.exp(z[1]) / np.exp(z[1]).sum())


def test_a_rare_pattern_is_hardly_moved():
    logits, labels, present = _cases("multiclass", n=1500, second=4.0)
    rare = np.flatnonzero(present == 1)[4:]
    keep = np.setdiff1d(np.arange(1500), rare)
    found = _fit("multiclass", (logits[keep], labels[keep], present[keep]))
    near = np.exp(found.log_proba(logits[keep, 3], present[keep]))
    common = found.common.predict_proba(logits[keep, 3])
    assert np.abs(near - common).max() < 0.05


@pytest.mark.parametrize("second", [1.0, 4.0])
def test_a_stored_one_is_the_same(second):
    logits, labels, present = _cases("multilabel", n=1500, second=second)
    found = _fit("multilabel", (logits, labels, present))
    again = PatternCalibrators.from_dict(found.to_dict(), found.common)
    np.testing.assert_array_equal(again.log_proba(logits[:, 3], present), found.log_proba(logits[:, 3], present))
