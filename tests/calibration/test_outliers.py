from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf

from medfuse.calibration import Outliers
from medfuse.errors import BundleError


def _drawn(rng, n, d=12):
    truth = rng.integers(3, size=n)
    mix = np.linspace(0.2, 2.0, d)
    vectors = rng.normal(size=(n, d)) * mix + np.eye(3, d)[truth] * 4
    logits = vectors[:, :3] * 2
    return vectors, np.eye(3)[truth], logits


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_scores_are_the_formulas(task):
    rng = np.random.default_rng(0)
    vectors, labels, logits = _drawn(rng, 80)
    found = Outliers.fit(vectors, labels, logits, vectors, task=task)
    new, _, z = _drawn(rng, 20)
    groups = [vectors[labels[:, c] == 1] for c in range(3)] if task == "multiclass" else [vectors]
    inverse = np.linalg.inv(
        LedoitWolf(assume_centered=True).fit(np.concatenate([g - g.mean(axis=0) for g in groups])).covariance_
    )
    far = [min(mahalanobis(v, g.mean(axis=0), inverse) ** 2 for g in groups) for v in new]
    energy = -logsumexp(z, axis=1) if task == "multiclass" else -np.log1p(np.exp(z)).sum(axis=1)
    np.testing.assert_allclose(found.scores(z, new), np.stack([energy, far], axis=1), rtol=1e-8)


def test_ordinary_cases_are_flagged_as_often_as_stated_and_strange_ones_always():
    rng = np.random.default_rng(1)
    rates, caught = [], []
    for _ in range(150):
        train, calibration, new = _drawn(rng, 120), _drawn(rng, 119), _drawn(rng, 200)
        found = Outliers.fit(train[0], train[1], calibration[2], calibration[0], task="multiclass", false_alarms=0.1)
        rates.append(found.flags(new[2], new[0]).mean(axis=0))
        strange = rng.normal(size=(50, 12)) * 8
        caught.append(found.flags(strange[:, :3] * 2, strange).any(axis=1).mean())
    np.testing.assert_allclose(np.mean(rates, axis=0), 0.05, atol=0.008)  # half of the 10 % for each
    assert np.mean(caught) > 0.98


def test_too_few_calibration_cases_flag_nothing():
    rng = np.random.default_rng(2)
    vectors, labels, logits = _drawn(rng, 38)
    found = Outliers.fit(vectors, labels, logits, vectors, task="multiclass")
    assert found.thresholds == (math.inf, math.inf)
    assert not found.flags(logits * -9, vectors * 99).any()
    empty = Outliers.fit(vectors, labels, logits[:0], vectors[:0], task="multiclass")
    assert empty.thresholds == (math.inf, math.inf)
    assert Outliers.fit(vectors[:2], labels[:2], logits, vectors, task="multiclass") is None


@pytest.mark.parametrize("n", [20, 200])
def test_a_stored_one_is_the_same(tmp_path, n):
    rng = np.random.default_rng(3)
    vectors, labels, logits = _drawn(rng, n)
    found = Outliers.fit(vectors, labels, logits, vectors, task="multiclass")
    found.save(tmp_path / "o.safetensors")
    again = Outliers.load(tmp_path / "o.safetensors")
    np.testing.assert_array_equal(again.scores(logits, vectors), found.scores(logits, vectors))
    assert again.thresholds == found.thresholds


def test_vectors_that_never_vary_are_no_error():
    rng = np.random.default_rng(4)
    _, labels, logits = _drawn(rng, 60)
    found = Outliers.fit(np.ones((60, 5)), labels, logits, np.ones((60, 5)), task="multiclass")
    assert np.isfinite(found.scores(logits, np.ones((60, 5)))).all()


def test_a_damaged_file_is_refused(tmp_path):
    (tmp_path / "o.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(BundleError, match="bundle"):
        Outliers.load(tmp_path / "o.safetensors")
