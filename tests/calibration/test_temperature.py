from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.calibration import CALIBRATORS, TemperatureScaling
from medfuse.errors import BundleError


def _drawn(task, *, n, temperature, seed=0, classes=4):
    """Logits that are `temperature` times too large for the labels drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 2
    if task == "multiclass":
        labels = np.eye(classes)[(logits + rng.gumbel(size=logits.shape)).argmax(axis=1)]
    else:
        labels = (rng.random(logits.shape) < 1 / (1 + np.exp(-logits))).astype(float)
    return logits * temperature, labels


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_made_the_logits(task, temperature):
    logits, labels = _drawn(task, n=4000, temperature=temperature)
    scaling = TemperatureScaling(task).fit(logits, labels)
    assert scaling.temperature_ == pytest.approx(temperature, rel=0.08)
    assert scaling.fitted_on_ == 4000
    assert not scaling.at_bound_


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_no_other_temperature_has_less_loss(task):
    logits, labels = _drawn(task, n=150, temperature=2.5)
    scaling = TemperatureScaling(task).fit(logits, labels)

    def loss(temperature):
        other = TemperatureScaling.from_dict({"task": task, "temperature": temperature, "fitted_on": 1})
        p = other.predict_proba(logits)
        if task == "multilabel":
            p = np.where(labels == 1, p, other.predict_proba(-logits))
        return -np.log(np.maximum(p, 1e-300))[(labels == 1) | (task == "multilabel")].sum()

    grid = np.geomspace(0.06, 19, 400)
    assert loss(scaling.temperature_) <= min(map(loss, grid)) + 1e-6


def test_probabilities_by_hand():
    scaling = TemperatureScaling.from_dict({"task": "multiclass", "temperature": 2.0, "fitted_on": 5})
    np.testing.assert_allclose(scaling.predict_proba([[np.log(9), 0.0]]), [[0.75, 0.25]])
    scaling = TemperatureScaling.from_dict({"task": "multilabel", "temperature": 2.0, "fitted_on": 5})
    np.testing.assert_allclose(scaling.predict_proba([[np.log(9), 0.0]]), [[0.75, 0.5]])


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_huge_logits_stay_finite(task):
    p = TemperatureScaling(task).fit(np.empty((0, 2)), np.empty((0, 2))).predict_proba([[1e4, -1e4], [-1e4, -1e4]])
    assert np.isfinite(p).all()
    assert p[0].tolist() == [1.0, 0.0]


def test_blank_labels_are_left_out():
    logits, labels = _drawn("multilabel", n=300, temperature=2.0)
    blanked = labels.copy()
    blanked[:, 0] = np.nan
    blanked[:50] = np.nan
    scaling = TemperatureScaling("multilabel").fit(logits, blanked)
    alone = TemperatureScaling("multilabel").fit(logits[50:, 1:], labels[50:, 1:])
    assert scaling.temperature_ == pytest.approx(alone.temperature_, rel=1e-5)
    assert scaling.fitted_on_ == 250
    logits, labels = _drawn("multiclass", n=300, temperature=2.0)
    labels[:50] = np.nan
    scaling = TemperatureScaling().fit(logits, labels)
    assert scaling.temperature_ == TemperatureScaling().fit(logits[50:], labels[50:]).temperature_
    assert scaling.fitted_on_ == 250


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("labels", [np.empty((0, 3)), np.full((4, 3), np.nan)])
def test_without_a_labelled_case_the_model_stays_as_it_is(task, labels):
    scaling = TemperatureScaling(task).fit(np.ones(labels.shape), labels)
    assert (scaling.temperature_, scaling.fitted_on_) == (1.0, 0)


def test_equal_logits_say_nothing_of_the_temperature():
    assert TemperatureScaling().fit(np.zeros((6, 3)), np.eye(3)[[0, 1, 2, 0, 1, 1]]).temperature_ == 1.0


def test_easy_and_hopeless_cases_stop_at_a_bound_and_say_so():
    easy = TemperatureScaling().fit(np.eye(3) * 2, np.eye(3))
    assert easy.temperature_ == 0.05
    assert easy.at_bound_
    hopeless = TemperatureScaling().fit(np.eye(3) * 2, np.roll(np.eye(3), 1, axis=0))
    assert hopeless.temperature_ == 20
    assert hopeless.at_bound_


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 30),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    task=st.sampled_from(["multiclass", "multilabel"]),
)
def test_properties(seed, n, scale, task):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 3)) * scale
    labels = np.eye(3)[rng.integers(3, size=n)]
    scaling = TemperatureScaling(task).fit(logits, labels)
    assert 0.05 <= scaling.temperature_ <= 20
    p = scaling.predict_proba(logits)
    assert ((p >= 0) & (p <= 1)).all()
    if task == "multiclass":
        np.testing.assert_allclose(p.sum(axis=1), 1)
        np.testing.assert_array_equal(p.argmax(axis=1), logits.argmax(axis=1))
    again = TemperatureScaling.from_dict(json.loads(json.dumps(scaling.to_dict())))
    np.testing.assert_array_equal(again.predict_proba(logits), p)
    assert again.fitted_on_ == scaling.fitted_on_


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"task": "multiclass", "temperature": "hot", "fitted_on": 1},
        {"task": "other", "temperature": 1.0, "fitted_on": 1},
        {"task": "multiclass", "temperature": -1.0, "fitted_on": 1},
        {"task": "multiclass", "temperature": float("nan"), "fitted_on": 1},
    ],
)
def test_a_damaged_store_is_refused(stored):
    with pytest.raises(BundleError, match="bundle"):
        TemperatureScaling.from_dict(stored)


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="task"):
        TemperatureScaling("regression")
    with pytest.raises(ValueError, match="finite"):
        TemperatureScaling().fit([[np.inf, 0.0]], [[1, 0]])
    with pytest.raises(ValueError, match="logits"):
        TemperatureScaling().fit([[0.0, 0.0]], [[1, 0, 0]])


def test_the_registry_names_it():
    assert CALIBRATORS[TemperatureScaling("multilabel").fit([[0.0]], [[1.0]]).to_dict()["name"]] is TemperatureScaling


def test_using_it_loads_no_scipy():
    """Classifying one case from a cold start passes here."""
    code = (
        "import sys; from medfuse.calibration import TemperatureScaling as T; "
        "T.from_dict({'task': 'multiclass', 'temperature': 2.0, 'fitted_on': 3}).predict_proba([[1.0, 2.0]]); "
        "print(sorted({'scipy', 'sklearn', 'pandas', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
