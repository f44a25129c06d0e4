"""The sample cohort's posterior is known: what is estimated agrees with what it says exactly.

The population is a few thousand cases with their exact posterior q. A label drawn from q is present with probability
q, so every figure's true value is a finite sum over the population, with weights q and 1 - q, and no simulation.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from medfuse.calibration import ConformalSets
from medfuse.calibration.conformal import ConformalSets as Sets
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.sets import coverage
from medfuse.synthetic.evidence import LABELS, draw_findings, draw_person, posterior

PEOPLE, COHORTS, PATIENTS = 1500, 500, 150

# What a model might say of cases whose truth is q: all of it, too sure, not sure enough, and too much of one label.
SAYINGS = {
    "exact": lambda q: q,
    "too sure": lambda q: _normal(q**1.6),
    "not sure enough": lambda q: _normal(q**0.6),
    "tilted": lambda q: _normal(q * [1.8, 1, 1, 0.6, 1]),
}
FIGURES = ("auroc", "brier", "log_loss", "ece_debiased")


def _normal(weight):
    return weight / weight.sum(axis=1, keepdims=True)


@cache
def _population():
    """Posterior [N, 5] of every case, and which person each is of: one to three visits."""
    rng = np.random.default_rng(0)
    rows, member = [], []
    for number in range(PEOPLE):
        person = draw_person(rng)
        for _ in range(int(rng.integers(1, 4))):
            rows.append(posterior(draw_findings(person, rng)[1]))
            member.append(number)
    return np.array(rows), np.array(member)


@cache
def _true(saying):
    q, _ = _population()
    said = SAYINGS[saying](q)
    order = np.argsort(said, axis=0)
    gaps = np.take_along_axis(q - said, order, axis=0)
    tenths = np.array_split(gaps, 10)
    areas = [
        roc_auc_score([1] * len(q) + [0] * len(q), np.tile(s, 2), sample_weight=np.concatenate([p, 1 - p]))
        for p, s in zip(q.T, said.T, strict=True)
    ]
    return {
        "auroc": float(np.mean(areas)),
        "brier": float(((said - q) ** 2 + q * (1 - q)).mean()),
        "log_loss": float(-(q * np.log(said)).sum(axis=1).mean()),
        "ece_debiased": float(sum(np.abs(part.sum(axis=0)) for part in tenths).mean() / len(q)),
    }


def _cohort(rng, people):
    """People drawn from the population with all their visits, and labels drawn anew; their rows, truth and patients."""
    q, member = _population()
    starts = np.searchsorted(member, np.arange(PEOPLE + 1))
    drawn = rng.integers(PEOPLE, size=people)
    rows = np.concatenate([np.arange(starts[one], starts[one + 1]) for one in drawn])
    patients = np.repeat(np.arange(people), np.diff(starts)[drawn]).astype(str)
    ceiling = np.cumsum(q[rows], axis=1)
    label = (ceiling <= rng.random(len(rows))[:, None]).sum(axis=1).clip(max=len(LABELS) - 1)
    return rows, np.eye(len(LABELS))[label], patients.tolist()


@pytest.mark.slow
@pytest.mark.parametrize("saying", SAYINGS)
def test_estimates_on_a_large_cohort_agree_with_the_true_posterior(saying):
    rows, truth, patients = _cohort(np.random.default_rng(1), 12_000)
    said = SAYINGS[saying](_population()[0][rows])
    found = Measured(truth, said, patients, "multiclass", 60, 0).headline()
    true = _true(saying)
    for name in FIGURES:
        figure = found[name]
        near = 4 * (figure["high"] - figure["low"]) / 3.92 + 1e-3  # four standard errors
        assert abs(figure["value"] - true[name]) < near, name
    if saying == "exact":
        assert true["ece_debiased"] < 1e-9
        assert found["ece_debiased"]["low"] == 0
        assert found["ece"]["value"] <= found["ece_if_calibrated"]["high"] * 1.2
    else:
        assert found["ece_debiased"]["low"] > 0


@cache
def _intervals():
    """Intervals of 500 cohorts of the sure model, patients with one to three visits [figure: cohorts, 2]."""
    rng = np.random.default_rng(2)
    q = _population()[0]
    found = {name: [] for name in (*FIGURES, "coverage")}
    sets = _fitted()
    for number in range(COHORTS):
        rows, truth, patients = _cohort(rng, PATIENTS)
        said = SAYINGS["too sure"](q[rows])
        figures = Measured(truth, said, patients, "multiclass", 300, number).headline()
        for name in FIGURES:
            found[name].append((figures[name]["low"], figures[name]["high"]))
        inside = sets.predict(said)
        covered = coverage(
            truth, inside, np.ones_like(inside), inside.sum(axis=1) != 1, present=[("image",)] * len(rows),
            patients=patients, labels=LABELS, task="multiclass", nominal=0.9,
        )  # fmt: skip
        found["coverage"].append((covered["coverage"]["low"], covered["coverage"]["high"]))
    return {name: np.array(ends, dtype=float) for name, ends in found.items()}


@cache
def _fitted() -> Sets:
    rows, truth, _ = _cohort(np.random.default_rng(3), 200)
    return ConformalSets(0.9).fit(SAYINGS["too sure"](_population()[0][rows]), truth)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FIGURES, "coverage"])
def test_intervals_cover_the_true_value_in_93_to_97_percent_of_cohorts(name):
    low, high = _intervals()[name].T
    true = _true("too sure").get(name)
    if name == "coverage":  # of these very sets: the chance that each case's true label is inside, summed exactly
        q = _population()[0]
        true = float((q * _fitted().predict(SAYINGS["too sure"](q))).sum(axis=1).mean())
    share = ((low <= true) & (true <= high)).mean()
    assert 0.93 <= share <= 0.97, share


@pytest.mark.slow
def test_sets_hold_the_truth_as_often_as_promised_over_calibration_cohorts():
    """The promise is an average over calibration cohorts; each one's true coverage is a sum over the population."""
    q, member = _population()
    said, rng = SAYINGS["too sure"](q), np.random.default_rng(4)
    first = np.searchsorted(member, np.arange(PEOPLE))
    true = []
    for _ in range(400):
        rows = rng.choice(first, size=60)  # one visit each: exchangeable with a new one
        label = (np.cumsum(q[rows], axis=1) <= rng.random(60)[:, None]).sum(axis=1).clip(max=4)
        sets = ConformalSets(0.9).fit(said[rows], np.eye(5)[label])
        true.append((q[first] * sets.predict(said[first])).sum(axis=1).mean())
    error = np.std(true) / np.sqrt(len(true))
    assert 0.9 - 3 * error <= np.mean(true) <= 0.9 + 1 / 61 + 3 * error
