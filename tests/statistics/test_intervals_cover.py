"""95 % intervals over 500 simulated cohorts: how often they hold the truth, also with several cases a patient."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import pytest

from medfuse.evaluation.delong import delong
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.operating import at_threshold
from medfuse.evaluation.reliability import recalibration

COHORTS, PATIENTS, APART = 500, 300, 1.2
LIKENESS = {"single": 0.0, "clustered": 0.8}  # standard deviation of what the cases of one patient share


def _cohort(kind, rng, patients=PATIENTS):
    """Truth, a score and whose each case is: one case a patient, or one to four that are alike."""
    sizes = np.ones(patients, int) if kind == "single" else rng.integers(1, 5, size=patients)
    member = np.repeat(np.arange(patients), sizes)
    shared = LIKENESS[kind] * rng.normal(size=(2, patients))[:, member]
    truth = (shared[0] + rng.normal(size=len(member)) > 0.3).astype(float)
    return truth, APART * truth + shared[1] + rng.normal(size=len(member)), member


def _said(score):
    """Probabilities that are too sure by a half, so that calibration error and slope have something to find."""
    return 1 / (1 + np.exp(-1.5 * (score - APART / 2)))


@cache
def _truth(kind):
    """What the figures estimate: the area in closed form, the others from two million cases."""
    truth, score, _ = _cohort(kind, np.random.default_rng(99), patients=2_000_000 if kind == "single" else 800_000)
    said = _said(score)
    order = np.argsort(said)
    gaps = [abs((truth - said)[part].mean()) for part in np.array_split(order, 10)]
    logit = np.log(said / (1 - said))
    subset = slice(0, 400_000)
    slope = recalibration(truth[subset], said[subset], np.arange(400_000))["slope"]["value"]
    assert np.isfinite(logit).all()
    return {
        "auroc": NormalDist().cdf(APART / np.sqrt(2 * (1 + LIKENESS[kind] ** 2))),
        "brier": ((said - truth) ** 2).mean(),
        "ece": float(np.mean(gaps)),
        "slope": slope,
        "sensitivity": (said[truth == 1] >= 0.5).mean(),
        "ppv": truth[said >= 0.5].mean(),
    }


@cache
def _intervals(kind):
    """The interval of each figure in each cohort [figure: cohorts, 2]."""
    rng = np.random.default_rng(7)
    found = {name: [] for name in ("auroc", "auroc_delong", "brier", "ece", "slope", "sensitivity", "ppv")}
    for number in range(COHORTS):
        truth, score, member = _cohort(kind, rng)
        said, patients = _said(score), member.astype(str)
        measured = Measured(truth[:, None], said[:, None], list(patients), "multilabel", 500, number).of_label(0)
        for name in ("auroc", "brier", "ece"):
            found[name].append((measured[name]["low"], measured[name]["high"]))
        found["auroc_delong"].append(delong(truth, said, patients=list(patients)).interval())
        slope = recalibration(truth, said, member)["slope"]
        found["slope"].append((slope["low"], slope["high"]))
        table = at_threshold(truth, said, 0.5, patients)
        for name in ("sensitivity", "ppv"):
            found[name].append((table[name]["low"], table[name]["high"]))
    return {name: np.array(ends) for name, ends in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["single", "clustered"])
@pytest.mark.parametrize("name", ["auroc", "auroc_delong", "brier", "ece", "slope", "sensitivity", "ppv"])
def test_covers_the_truth_in_93_to_97_percent(kind, name):
    low, high = _intervals(kind)[name].T
    true = _truth(kind)[name.removesuffix("_delong")]
    assert 0.93 <= ((low <= true) & (true <= high)).mean() <= 0.97
    for beyond in (true < low, true > high):  # and misses on neither side only
        assert beyond.mean() <= 0.045
