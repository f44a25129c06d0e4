"""Why `temperature` is the default and `auto` is not: the true log loss of what each fits on the sample cohort.

The loss is that of the whole population under its known posterior, not an estimate. At 50 cases `auto` can only lose,
and at 200 it gains where the model errs by label and loses next to nothing where it does not.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from medfuse.calibration import CALIBRATORS
from medfuse.calibration.choose import choose
from medfuse.config import CalibrationConfig
from tests.statistics.test_known_truth import _cohort, _population

REPEATS = 8
# How a model's logits could lie to the log posterior: too steep alike for all labels, or each label in its own way.
MODELS = {
    "too sure": lambda log_q: 2.0 * log_q,
    "by label": lambda log_q: log_q * [2.2, 1.0, 1.6, 1.2, 0.7],
}


@cache
def _gains(model, cases):
    """True log loss by `temperature` less that by `auto`, for each of some calibration cohorts."""
    q, _ = _population()
    log_q = np.log(np.clip(q, 1e-12, 1))
    logits, rng, gains = MODELS[model](log_q), np.random.default_rng(0), []
    for number in range(REPEATS):
        rows, truth, patients = (part[:cases] for part in _cohort(rng, cases))
        auto = choose(CALIBRATORS, logits[rows], truth, task="multiclass", patients=patients, seed=number).chosen
        fitted = (CALIBRATORS[name]("multiclass").fit(logits[rows], truth) for name in ("temperature", auto))
        simple, chosen = (-(q * one.log_proba(logits)).sum(axis=1).mean() for one in fitted)
        gains.append(simple - chosen)
    return np.array(gains)


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_with_50_cases_auto_is_temperature(model):
    assert (_gains(model, 50) == 0).all()  # no other calibrator asks for so few


@pytest.mark.slow
def test_with_200_cases_auto_gains_where_labels_differ_and_costs_little_where_they_do_not():
    assert _gains("by label", 200).mean() > 0.01
    assert _gains("too sure", 200).mean() > -0.005


def test_the_default_is_temperature():
    assert CalibrationConfig().method == "temperature"
