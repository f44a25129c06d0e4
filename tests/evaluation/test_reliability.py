from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.metrics import brier, ece
from medfuse.evaluation.reliability import (
    brier_parts,
    calibration_error,
    debiased_error,
    equal_mass,
    equal_width,
    recalibration,
    reliability_of,
    smooth_curve,
    top_label_error,
)


def _cases(n=400, seed=0, sharpen=1.0):
    """Answers drawn from a probability, and the probability as a model says it."""
    rng = np.random.default_rng(seed)
    true = rng.beta(1.5, 2.5, size=n)
    answer = (rng.random(n) < true).astype(float)
    odds = (true / (1 - true)) ** sharpen
    return answer, odds / (1 + odds)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80), levels=st.sampled_from([0, 4]))
def test_the_parts_add_up_to_the_brier_score(seed, n, levels):
    answer, said = _cases(n, seed)
    said = np.round(said * levels) / levels if levels else said
    for member in (equal_mass(said), equal_width(said)):
        parts = brier_parts(answer, said, member)
        whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
        whole += parts["within_variance"] - parts["within_covariance"]
        assert whole == pytest.approx(brier(answer[:, None], said[:, None])[0], abs=1e-12)
    if levels:  # one probability a bin: Murphy's three parts alone
        parts = brier_parts(answer, said, np.unique(said, return_inverse=True)[1])
        assert parts["within_variance"] == pytest.approx(0, abs=1e-12)
        assert parts["within_covariance"] == pytest.approx(0, abs=1e-12)


def test_worked_example_of_the_parts():
    # Ten forecasts of 0.2, of which 3 came true, and ten of 0.8, of which 9 did; base rate 0.6.
    said = np.repeat([0.2, 0.8], 10)
    answer = np.array([1.0] * 3 + [0.0] * 7 + [1.0] * 9 + [0.0])
    parts = brier_parts(answer, said, equal_width(said))
    assert parts["reliability"] == pytest.approx(0.5 * 0.1**2 + 0.5 * 0.1**2)
    assert parts["resolution"] == pytest.approx(0.5 * 0.3**2 + 0.5 * 0.3**2)
    assert parts["uncertainty"] == pytest.approx(0.6 * 0.4)
    assert calibration_error(answer, said, equal_width(said)) == pytest.approx(0.1)
    # (0.01 - 0.3·0.7/9 + 0.01 - 0.9·0.1/9) / 2 is below 0: nothing that chance would not do.
    assert debiased_error(answer, said, equal_width(said)) == 0


def test_bins_are_those_of_the_headline_and_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    answer, said = _cases()
    mass = calibration_error(answer, said, equal_mass(said))
    assert mass == pytest.approx(ece(answer[:, None], said[:, None])[0], abs=1e-12)
    observed, mean = calibration_curve(answer, said, n_bins=10, strategy="uniform")
    share = np.bincount(equal_width(said), minlength=10)
    share = share[share > 0] / len(said)
    assert calibration_error(answer, said, equal_width(said)) == pytest.approx((share * abs(observed - mean)).sum())
    assert equal_width(np.array([0.0, 0.0999, 0.1, 1.0])).tolist() == [0, 0, 1, 9]


def test_the_debiased_error_of_a_calibrated_model_does_not_grow_with_fewer_cases():
    squares = []
    for seed in range(300):
        answer, said = _cases(100, seed)
        squares.append(debiased_error(answer, said, equal_mass(said)) ** 2)
    plain = np.mean([calibration_error(*_cases(100, s), equal_mass(_cases(100, s)[1])) ** 2 for s in range(100)])
    assert np.mean(squares) < plain / 2  # what is left comes from counting negative squares as 0


def test_debiased_error_finds_a_known_gap():
    answer, said = _cases(200_000, 1)
    off = 0.1 + 0.8 * said  # p - q for q = (p - 0.1) / 0.8 has mean square (0.1 - 0.2 p')²
    known = np.sqrt(np.mean((off - said) ** 2))
    assert debiased_error(answer, off, equal_mass(off)) == pytest.approx(known, rel=0.03)


def test_slope_and_intercept_agree_with_statsmodels():
    import statsmodels.api as sm

    answer, said = _cases(500, 3, sharpen=2)
    member = np.arange(500) // 2
    logit = np.log(said / (1 - said))
    found = recalibration(answer, said, member)
    both = sm.Logit(answer, sm.add_constant(logit)).fit(disp=0, cov_type="cluster", cov_kwds={"groups": member})
    assert found["slope"]["value"] == pytest.approx(both.params[1], abs=1e-7)
    low, high = both.conf_int()[1]
    assert (found["slope"]["low"], found["slope"]["high"]) == pytest.approx((low, high), abs=1e-5)
    large = sm.GLM(answer, np.ones(500), family=sm.families.Binomial(), offset=logit).fit()
    assert found["intercept"]["value"] == pytest.approx(large.params[0], abs=1e-7)
    assert found["observed_to_expected"] == pytest.approx(answer.sum() / said.sum())
    assert found["slope"]["high"] < 0.8  # too extreme by a factor of two


def test_the_curve_follows_the_truth():
    answer, said = _cases(20_000, 4, sharpen=2)
    curve = smooth_curve(answer, said, np.arange(20_000))
    at = np.array([point["said"] for point in curve])
    truth = np.sqrt(at / (1 - at)) / (1 + np.sqrt(at / (1 - at)))
    assert np.abs([point["observed"] for point in curve] - truth).max() < 0.04
    inside = [point["low"] <= t <= point["high"] for point, t in zip(curve, truth, strict=True)]
    assert np.mean(inside) > 0.8
    assert smooth_curve(answer[:30], said[:30], np.arange(30)) == []


@pytest.mark.parametrize(
    ("answer", "said", "patients", "reason"),
    [
        ([], [], [], "no case"),
        ([1, 1, 1], [0.2, 0.4, 0.6], "abc", "same truth"),
        ([1, 0, 1], [0.4, 0.4, 0.4], "abc", "alike"),
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9], "abcd", "separate"),
        ([1, 0, 1], [0.4, 0.5, 0.6], "aaa", "one patient"),
    ],
)
def test_what_cannot_be_estimated_says_why_and_warns_of_nothing(answer, said, patients, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = reliability_of(np.array(answer, dtype=float), np.array(said, dtype=float), list(patients))
    json.dumps(found, allow_nan=False)
    assert found["slope"]["value"] is None
    assert reason in found["slope"]["reason"]


def test_top_label_error():
    truth = np.eye(2)[[0, 0, 1, 1]]
    said = np.array([[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.25, 0.75]])
    assert top_label_error(truth, said) == pytest.approx(0)
    assert top_label_error(truth[:1], said[:1]) == pytest.approx(0.25)
    assert top_label_error(np.full((2, 2), np.nan), said[:2]) is None
