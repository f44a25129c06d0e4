from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.intervals import wilson_interval
from medfuse.evaluation.operating import SHARES, at_threshold, decision_curve


def _table(tp, fp, fn, tn):
    answer = np.repeat([1.0, 0.0, 1.0, 0.0], [tp, fp, fn, tn])
    said = np.repeat([0.9, 0.9, 0.1, 0.1], [tp, fp, fn, tn])
    return answer, said, [str(i) for i in range(len(answer))]


def test_agrees_with_scikit_learn():
    from sklearn import metrics

    answer, said, patients = _table(26, 14, 15, 58)
    found = at_threshold(answer, said, 0.5, patients)
    predicted = said >= 0.5
    theirs = {
        "sensitivity": metrics.recall_score(answer, predicted),
        "specificity": metrics.recall_score(1 - answer, ~predicted),
        "ppv": metrics.precision_score(answer, predicted),
        "npv": metrics.precision_score(1 - answer, ~predicted),
        "f1": metrics.f1_score(answer, predicted),
        "mcc": metrics.matthews_corrcoef(answer, predicted),
    }
    positive, negative = metrics.class_likelihood_ratios(answer, predicted)
    theirs |= {"lr_positive": positive, "lr_negative": negative}
    for name, value in theirs.items():
        assert found[name]["value"] == pytest.approx(value, abs=1e-12), name
        assert found[name]["low"] < value < found[name]["high"], name
    assert found["counts"] == {"tp": 26, "fp": 14, "fn": 15, "tn": 58, "n": 113}


def test_likelihood_ratio_has_the_interval_of_simel():
    # Simel et al. 1991: exp(log LR ± 1.96 sqrt(1/tp - 1/(tp + fn) + 1/fp - 1/(fp + tn))).
    found = at_threshold(*_table(260, 140, 150, 580)[:2], 0.5, _table(260, 140, 150, 580)[2])["lr_positive"]
    half = 1.959964 * np.sqrt(1 / 260 - 1 / 410 + 1 / 140 - 1 / 720)
    expected = np.exp(np.log((260 / 410) / (140 / 720)) + np.array([-half, half]))
    assert [found["low"], found["high"]] == pytest.approx(expected, rel=2e-3)


def test_one_case_a_patient_gives_the_wilson_interval_of_newcombe():
    # Newcombe 1998, table I: 81 of 263.
    found = at_threshold(*_table(81, 0, 182, 5)[:2], 0.5, _table(81, 0, 182, 5)[2])["sensitivity"]
    assert (found["low"], found["high"]) == pytest.approx((0.2553, 0.3662), abs=3e-4)
    assert found["value"] == pytest.approx(81 / 263)


def test_copies_of_a_patients_case_do_not_narrow_the_interval():
    answer, said, patients = _table(26, 14, 15, 58)
    single = at_threshold(answer, said, 0.5, patients)
    copied = at_threshold(answer.repeat(4), said.repeat(4), 0.5, np.repeat(patients, 4))
    for name in (*SHARES, "f1", "mcc", "lr_positive", "lr_negative"):
        for end in ("value", "low", "high"):
            assert copied[name][end] == pytest.approx(single[name][end], abs=2e-3), (name, end)


def test_no_miss_among_few_is_not_certainty():
    answer, said, patients = _table(8, 0, 0, 9)
    found = at_threshold(answer, said, 0.5, patients)
    assert found["sensitivity"]["value"] == 1
    assert found["sensitivity"]["low"] == pytest.approx(wilson_interval(positive=8, total=8)[0])
    assert found["lr_positive"]["value"] is None
    assert "share of exactly 0 or 1" in found["lr_positive"]["reason"]


def test_a_threshold_a_case():
    found = at_threshold(np.array([1.0, 0.0]), np.array([0.4, 0.4]), np.array([0.3, 0.5]), ["a", "b"])
    assert found["counts"] == {"tp": 1, "fp": 0, "fn": 0, "tn": 1, "n": 2}


@settings(deadline=None, max_examples=50)
@given(cells=st.tuples(*[st.integers(0, 6)] * 4), patients=st.integers(1, 5))
def test_any_table_gives_figures_or_reasons_and_no_warning(cells, patients):
    answer, said, _ = _table(*cells)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = at_threshold(answer, said, 0.5, [str(i % patients) for i in range(len(answer))])
        curve = decision_curve(answer, said, [str(i % patients) for i in range(len(answer))])
    json.dumps([found, curve], allow_nan=False)
    for name, figure in found.items():
        if name != "counts":
            assert figure["value"] is not None or figure["reason"], name
            assert figure["low"] is None or figure["low"] <= figure["value"] <= figure["high"], name


def test_net_benefit_by_hand():
    # 100 cases, 20 with the label; at 0.2 a false positive costs a quarter: 15/100 - 10/100 · 0.25.
    answer, said, patients = _table(15, 10, 5, 70)
    at = {point["threshold"]: point for point in decision_curve(answer, said, patients)}
    assert at[0.2]["model"] == pytest.approx(0.15 - 0.10 * 0.25)
    assert at[0.2]["all"] == pytest.approx(0.2 - 0.8 * 0.25)
    assert at[0.02]["model"] == pytest.approx(at[0.02]["all"])  # at 0.02 every case is acted on
    assert at[0.96]["model"] == 0  # nobody is
    assert at[0.2]["low"] < at[0.2]["model"] < at[0.2]["high"]
