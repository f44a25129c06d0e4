from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.binned import Gaps, error_interval, gaps_of
from medfuse.evaluation.metrics import ece
from medfuse.evaluation.reliability import calibration_error, equal_mass


def _cases(n=400, *, sharp=1.0, seed=0, labels=1):
    rng = np.random.default_rng(seed)
    score = rng.normal(size=(n, labels))
    truth = (rng.random((n, labels)) < 1 / (1 + np.exp(-score))).astype(float)
    return truth, 1 / (1 + np.exp(-sharp * score)), [str(i) for i in range(n)]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 80), blank=st.floats(0, 0.9))
def test_the_gaps_add_up_to_the_error(seed, n, blank):
    rng = np.random.default_rng(seed)
    truth, said, _ = _cases(n, seed=seed)
    said = np.round(said, 1)
    truth[rng.random(truth.shape) < blank] = np.nan
    truth[0] = 1
    patients = [str(i // 3) for i in range(n)]
    (gaps,) = gaps_of(truth, said, patients)
    assert np.abs(gaps.by_patient.sum(axis=0)).sum() == pytest.approx(ece(truth, said)[0])
    known = ~np.isnan(truth[:, 0])
    theirs = calibration_error(truth[known, 0], said[known, 0], equal_mass(said[known, 0]))
    assert np.abs(gaps.by_patient.sum(axis=0)).sum() == pytest.approx(theirs)
    low, middle, high = error_interval([gaps])
    assert (len(set(patients)) < 2 and np.isnan(low)) or 0 <= low <= middle <= high


def test_chance_is_taken_off_and_miscalibration_is_not():
    low, middle, _ = error_interval(gaps_of(*_cases(labels=5)))
    assert low == 0
    assert middle < ece(*_cases(labels=5)[:2]).mean() / 2
    plain = ece(*_cases(sharp=3.0)[:2]).mean()
    low, middle, high = error_interval(gaps_of(*_cases(sharp=3.0)))
    assert 0.05 < low < middle < high
    assert middle == pytest.approx(plain, rel=0.15)


def test_alike_cases_of_a_patient_widen_it():
    truth, said, patients = _cases(sharp=2.0)
    alone = error_interval(gaps_of(truth, said, patients))
    fourfold = (np.repeat(truth, 4, axis=0), np.repeat(said, 4, axis=0), np.repeat(patients, 4))
    copied = error_interval(gaps_of(*fourfold))
    assert copied == pytest.approx(alone, rel=0.05)
    as_if_independent = error_interval(gaps_of(*fourfold[:2], [str(i) for i in range(1600)]))
    assert as_if_independent[2] - as_if_independent[0] < 0.7 * (alone[2] - alone[0])


def test_one_patient_and_no_gap_at_all():
    truth, said, _ = _cases(5)
    assert np.isnan(error_interval(gaps_of(truth, said, ["a"] * 5))).all()
    exact = np.array([[0.0], [1.0]] * 20)
    low, middle, high = error_interval(gaps_of(exact, exact, [str(i) for i in range(40)]))
    assert low == middle == 0
    assert high <= 0.2
    assert Gaps(np.full(3, np.nan), np.full(3, 0.5), np.arange(3), 3).by_patient.shape == (3, 0)
