from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation import intervals
from medfuse.evaluation.intervals import (
    bca_interval,
    bootstrap,
    jackknife,
    patient_weights,
    percentile_interval,
    wilson_interval,
)
from medfuse.evaluation.metrics import Scorer


def _weights(patients, *, draws, seed=0):
    return np.concatenate(list(patient_weights(patients, draws=draws, seed=seed)))


@settings(deadline=None, max_examples=40)
@given(
    patients=st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), min_size=1, max_size=12),
    seed=st.integers(0, 1000),
)
def test_all_cases_of_a_patient_come_along_and_as_many_patients_are_drawn(patients, seed):
    weights = _weights(patients, draws=7, seed=seed)
    assert weights.shape == (7, len(patients))
    for patient in patients:
        columns = weights[:, [other == patient for other in patients]]
        assert (columns == columns[:, :1]).all()
    first = [patients.index(patient) for patient in sorted(set(patients))]
    assert (weights[:, first].sum(axis=1) == len(first)).all()


def test_each_patient_is_as_likely_as_any():
    weights = _weights([f"p{i}" for i in range(8)], draws=4000)
    np.testing.assert_allclose(weights.mean(axis=0), 1, atol=0.06)
    np.testing.assert_allclose(weights.var(axis=0), 1 - 1 / 8, atol=0.1)  # of Binomial(8, 1/8)


def test_chunks_change_nothing_and_seeds_do(monkeypatch):
    patients = [str(i // 2) for i in range(40)]
    whole = _weights(patients, draws=30)
    monkeypatch.setattr(intervals, "CELLS", 200)
    assert max(len(part) for part in patient_weights(patients, draws=30)) == 5
    np.testing.assert_array_equal(_weights(patients, draws=30), whole)
    np.testing.assert_array_equal(_weights(patients, draws=10), whole[:10])
    assert (_weights(patients, draws=30, seed=1) != whole).any()


def test_bootstrap_of_the_mean_has_its_standard_error():
    values = np.random.default_rng(0).normal(size=100)
    drawn = bootstrap(
        lambda weight: {"mean": weight @ values / weight.sum(axis=1)},
        patients=[str(i) for i in range(100)],
        draws=2000,
    )["mean"]
    assert drawn.std() == pytest.approx(values.std() / 10, rel=0.06)


def test_cases_of_one_patient_are_not_taken_for_independent():
    """Five copies of each patient's case tell no more than one; a bootstrap of cases would say otherwise."""
    rng = np.random.default_rng(1)
    probability = rng.random((60, 1))
    truth = (rng.random((60, 1)) < probability).astype(float)
    patients = np.array([str(i) for i in range(60)])
    single = bootstrap(Scorer(truth=truth, probability=probability), patients=patients, draws=400)["auroc"][:, 0]
    copied = Scorer(truth=truth.repeat(5, axis=0), probability=probability.repeat(5, axis=0))
    clustered = bootstrap(copied, patients=patients.repeat(5), draws=400)["auroc"][:, 0]
    np.testing.assert_allclose(clustered, single, atol=1e-12)
    naive = bootstrap(copied, patients=[str(i) for i in range(300)], draws=400)["auroc"][:, 0]
    assert naive.std() < 0.6 * clustered.std()


@pytest.mark.slow
def test_the_interval_of_auroc_covers_the_truth_as_often_as_it_says():
    from statistics import NormalDist

    true = NormalDist().cdf(1 / np.sqrt(2))  # of N(1, 1) against N(0, 1)
    rng = np.random.default_rng(2)
    covered = 0
    for repeat in range(200):
        truth = np.repeat([[0.0], [1.0]], 50, axis=0)
        probability = 1 / (1 + np.exp(-(rng.normal(size=(100, 1)) + truth)))
        scorer = Scorer(truth=truth, probability=probability)
        drawn = bootstrap(scorer, patients=[str(i) for i in range(100)], draws=300, seed=repeat)
        low, high = percentile_interval(drawn["auroc"][:, 0])
        covered += low <= true <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_no_draws_give_nothing():
    assert bootstrap(lambda weight: {"n": weight.sum(axis=1)}, patients=["a"], draws=0) == {}


def test_percentiles_leave_undefined_draws_out():
    values = np.concatenate([np.arange(101.0), [np.nan] * 50])
    assert percentile_interval(values) == pytest.approx((2.5, 97.5))
    assert percentile_interval(values, level=0.5) == pytest.approx((25, 75))
    assert np.isnan(percentile_interval(np.full(3, np.nan))).all()


def test_wilson_interval_agrees_with_the_worked_figures():
    # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
    assert wilson_interval(positive=81, total=263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(positive=15, total=148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert wilson_interval(positive=0, total=20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert wilson_interval(positive=1, total=29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilson_interval_agrees_with_scipy():
    from scipy.stats import binomtest

    for positive, total in [(0, 5), (5, 5), (3, 17)]:
        theirs = binomtest(positive, total).proportion_ci(method="wilson")
        assert wilson_interval(positive=positive, total=total) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_bca_agrees_with_scipy():
    from scipy import stats

    values = np.random.default_rng(5).exponential(size=40)
    drawn = _weights([str(i) for i in range(40)], draws=20_000) @ values / 40
    left_out = jackknife(lambda w: {"mean": w @ values / w.sum(axis=1)}, patients=[str(i) for i in range(40)])["mean"]
    ours = bca_interval(drawn, value=values.mean(), left_out=left_out)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=1).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.01)
    plain = percentile_interval(drawn)
    assert ours[1] - plain[1] > 0.005  # skew to the right moves the interval to the right


def test_jackknife_leaves_out_patients_and_groups_of_them(monkeypatch):
    patients = ["a", "a", "b", "c", "c", "c"]

    def counted(weight):
        return {"n": weight.sum(axis=1), "w": weight}

    left = jackknife(counted, patients=patients)
    assert sorted(left["n"].tolist()) == [3, 4, 5]
    assert (left["w"][:, 0] == left["w"][:, 1]).all()
    monkeypatch.setattr(intervals, "GROUPS", 2)
    assert len(jackknife(counted, patients=patients)["n"]) == 2
    assert jackknife(counted, patients=["a", "a"]) == {}


def test_bca_without_an_estimate_of_bias_is_the_percentile_interval():
    draws = np.linspace(0.2, 0.4, 101)
    assert bca_interval(draws, value=0.1, left_out=draws) == percentile_interval(draws)
    assert np.isnan(bca_interval(np.array([np.nan]), value=0.1, left_out=draws)).all()
    assert bca_interval(np.full(9, 0.5), value=0.5, left_out=np.full(9, 0.5)) == (0.5, 0.5)


def test_threads_change_nothing(monkeypatch):
    patients = [str(i) for i in range(50)]
    scorer = Scorer(truth=np.tile([[1.0], [0.0]], (25, 1)), probability=np.random.default_rng(0).random((50, 1)))
    monkeypatch.setattr(intervals, "CELLS", 100)
    many = bootstrap(scorer, patients=patients, draws=40)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    one = bootstrap(scorer, patients=patients, draws=40)
    for name, values in many.items():
        np.testing.assert_array_equal(values, one[name])
