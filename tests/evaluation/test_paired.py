from __future__ import annotations

import numpy as np
import pytest

from medfuse.evaluation.delong import delong
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.paired import bootstrap_differences, delong_difference, holm, mcnemar


def test_holm_agrees_with_r():
    """In R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, None, 0.8]) == [1.0, None, 1.0]
    assert holm([]) == []


def _discordant(first, second, both=10):
    one = np.array([True] * first + [False] * second + [True] * both)
    other = np.array([False] * first + [True] * second + [True] * both)
    return one, other


def test_exact_mcnemar_agrees_with_r():
    """In R: binom.test(5, 17)$p.value."""
    one, other = _discordant(5, 12)
    found = mcnemar(one, other, [str(i) for i in range(len(one))])
    assert found["p"] == pytest.approx(0.1434631348, abs=1e-9)
    assert (found["only_first"], found["only_second"], found["method"]) == (5, 12, "exact McNemar")


def test_summed_by_patient_single_cases_give_the_statistic_of_r():
    """In R: mcnemar.test(matrix(c(101, 59, 121, 33), 2), correct = FALSE)$p.value."""
    one, other = _discordant(121, 59)
    patients = [str(i) for i in range(len(one))]
    patients[-1] = patients[-2]  # two concordant cases of one patient: the method changes, the statistic does not
    found = mcnemar(one, other, patients)
    assert found["method"] == "McNemar, summed by patient"
    assert found["p"] == pytest.approx(3.815135865e-06, rel=1e-6)
    doubled = mcnemar(one.repeat(2), other.repeat(2), np.repeat(patients, 2))
    assert doubled["p"] == pytest.approx(found["p"])  # copies tell nothing new


def test_no_discordance_is_no_difference():
    one, _ = _discordant(0, 0)
    assert mcnemar(one, one, [str(i) for i in range(10)])["p"] == 1.0
    assert mcnemar(one, one, ["p"] * 10)["p"] == 1.0


def _two(seed=0, n=300, gap=1.0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size=(n, 2)).astype(float)
    shared = rng.normal(size=(n, 2))
    said = [1 / (1 + np.exp(-(g * truth + shared + rng.normal(size=(n, 2)) / 2))) for g in (1.0 + gap, 1.0)]
    return truth, said, [str(i // 2) for i in range(n)]


def test_delong_and_bootstrap_tell_the_same_of_auroc():
    truth, (one, other), patients = _two(gap=0.4)
    theirs = delong_difference(truth, one, other, patients, ("a", "b"))
    measured = [Measured(truth, said, patients, "multilabel", 1000, 0) for said in (one, other)]
    ours = bootstrap_differences(*measured)
    assert ours["auroc"]["value"] == pytest.approx(theirs["value"])
    assert ours["auroc"]["low"] == pytest.approx(theirs["low"], abs=0.012)
    assert ours["auroc"]["high"] == pytest.approx(theirs["high"], abs=0.012)
    alone = delong(truth[:, 0], np.stack([one[:, 0], other[:, 0]]), patients=patients).difference()
    assert theirs["labels"]["a"]["p"] == pytest.approx(alone[3])
    assert ours["log_loss"]["value"] == pytest.approx(
        measured[0].value["log_loss"].mean() - measured[1].value["log_loss"].mean()
    )


def test_alike_models_are_not_told_apart_and_unlike_ones_are():
    truth, (one, other), patients = _two()
    measured = [Measured(truth, said, patients, "multilabel", 400, 0) for said in (one, other)]
    apart = bootstrap_differences(*measured)
    assert apart["auroc"]["p"] < 0.01
    assert apart["auroc"]["low"] > 0
    same = bootstrap_differences(measured[0], measured[0])
    assert all(figure["value"] == 0 and figure["p"] == 1 for figure in same.values())


def test_one_class_alone_gives_no_difference_and_no_p():
    truth, (one, other), patients = _two(n=20)
    truth[:] = 1
    measured = [Measured(truth, said, patients, "multilabel", 50, 0) for said in (one, other)]
    assert bootstrap_differences(*measured)["auroc"]["p"] is None
    assert delong_difference(truth, one, other, patients, ("a", "b"))["value"] is None
