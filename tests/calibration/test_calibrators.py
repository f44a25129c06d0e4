"""What every calibrator must do."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.calibration import CALIBRATORS
from medfuse.calibration.likelihood import log_loss_of
from medfuse.errors import BundleError
from tests.calibration.drawn import drawn, sigmoid, softmax

EACH = pytest.mark.parametrize("name", CALIBRATORS)
TASK = pytest.mark.parametrize("task", ["multiclass", "multilabel"])


@EACH
@TASK
def test_repairs_logits_that_are_too_sure(name, task):
    logits, labels = drawn(task, n=1500, weight=0.4)
    new, truth = drawn(task, n=3000, weight=0.4, seed=1)
    calibrator = CALIBRATORS[name](task).fit(logits, labels)
    loss = log_loss_of(calibrator.log_proba(new), truth, task).mean()
    as_it_is = log_loss_of(CALIBRATORS[name](task).fit(logits[:0], labels[:0]).log_proba(new), truth, task).mean()
    best = log_loss_of(np.log(softmax(new * 0.4) if task == "multiclass" else sigmoid(new * 0.4)), truth, task).mean()
    assert as_it_is - best > 0.04
    assert loss - best < 0.25 * (as_it_is - best)


@EACH
@TASK
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 40), scale=st.sampled_from([0.1, 1.0, 30.0]))
def test_few_cases_with_blanks_give_probabilities_that_survive_storing(name, task, seed, n, scale):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) * scale
    labels = np.eye(3)[rng.integers(3, size=n)]
    labels[rng.random(n) < 0.2] = np.nan
    if task == "multilabel":
        labels[rng.random((n, 3)) < 0.3] = np.nan
    calibrator = CALIBRATORS[name](task).fit(logits, labels)
    new = rng.normal(size=(50, 3)) * scale * 2
    p = calibrator.predict_proba(new)
    assert ((p >= 0) & (p <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(p.sum(axis=1), 1)
    stored = json.loads(json.dumps(calibrator.to_dict(), allow_nan=False))
    assert stored["name"] == name
    again = CALIBRATORS[name].from_dict(stored)
    np.testing.assert_array_equal(again.predict_proba(new), p)
    assert again.to_dict() == calibrator.to_dict()


@EACH
@TASK
def test_without_a_labelled_case_the_model_stays_as_it_is(name, task):
    logits = np.random.default_rng(0).normal(size=(6, 3)) * 3
    calibrator = CALIBRATORS[name](task).fit(logits, np.full((6, 3), np.nan))
    expected = softmax(logits) if task == "multiclass" else sigmoid(logits)
    np.testing.assert_allclose(calibrator.predict_proba(logits), expected)
    assert calibrator.fitted_on_ == 0


@EACH
def test_blanks_are_left_out(name):
    logits, labels = drawn("multilabel", n=300, weight=0.5, classes=2)
    padded, blank = np.vstack([logits, logits]), np.vstack([labels, np.full_like(labels, np.nan)])
    found, alone = (CALIBRATORS[name]("multilabel").fit(*pair) for pair in ((padded, blank), (logits, labels)))
    assert found.fitted_on_ == 300
    np.testing.assert_allclose(found.predict_proba(logits), alone.predict_proba(logits), atol=1e-6)


@EACH
@TASK
def test_huge_logits_stay_finite(name, task):
    calibrator = CALIBRATORS[name](task).fit(*drawn(task, n=60, classes=3))
    p = calibrator.predict_proba([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]])
    assert np.isfinite(p).all()


@EACH
def test_a_label_without_a_case_is_not_made_impossible(name):
    logits, labels = drawn("multiclass", n=80, seed=3)
    kept = labels[:, 3] == 0
    p = CALIBRATORS[name]().fit(logits[kept], labels[kept]).predict_proba(np.zeros((1, 4)))
    assert p[0, 3] > 1e-3


@EACH
@pytest.mark.parametrize("damage", [{"task": "other"}, {"fitted_on": "many"}, "drop", "nan"])
def test_a_damaged_store_is_refused(name, damage):
    stored = CALIBRATORS[name]().fit(*drawn("multiclass", n=50)).to_dict()
    part = next(key for key in stored if key not in {"name", "task", "fitted_on"})
    if damage == "drop":
        del stored[part]
    elif damage == "nan":
        stored[part] = [{"odds": [float("nan")]}] if part == "curves" else float("nan")
    else:
        stored |= damage
    with pytest.raises(BundleError, match="bundle"):
        CALIBRATORS[name].from_dict(stored)


def test_using_them_loads_no_scipy():
    """Classifying one case from a cold start passes here."""
    code = (
        "import sys; import medfuse.calibration as c; t = c.CALIBRATORS['platt']('multilabel'); "
        "t = t.from_dict({'task': 'multilabel', 'fitted_on': 3, 'curves': [{'slope': [1], 'intercept': [0]}]}); "
        "t.predict_proba([[1.0]]); print(sorted({'scipy', 'sklearn', 'pandas', 'torch', 'mapie'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
