"""How well a label can be read from something: an AUROC on held-out patients, and whether chance could give it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray

FOLDS = 5
DRAWS = 400  # bootstrap draws over patients
FEWEST = 5  # patients with and without the label, below which nothing is measured
CHANCE = 0.01  # probability that an audit of an innocent cohort calls one of a kind of measurements above chance
MODEST, NEARLY_ALWAYS = 0.6, 0.9  # AUROC from which a reading is worth a warning, and that all but gives the label
_AT_A_TIME = 50  # draws; a bound on memory


@dataclass(frozen=True, slots=True)
class Reading:
    """How well one label was read from one thing.

    Attributes:
        name: What it was read from.
        auroc: On patients held out.
        low: Lower end of the 95 % interval over patients.
        high: Upper end.
        chance: Probability of so much or more if there were nothing to read (one-sided, normal approximation).
        positive: Cases with the label.
        negative: Cases without it.
    """

    name: str
    auroc: float
    low: float
    high: float
    chance: float
    positive: int
    negative: int

    def above_chance(self, measurements: int) -> bool:
        """Whether it holds against chance when so many were measured (Bonferroni)."""
        return self.chance * measurements < CHANCE

    @property
    def figure(self) -> dict[str, float]:
        """As `figures` hold it."""
        return {"value": round(self.auroc, 4), "low": round(self.low, 4), "high": round(self.high, 4)}

    def __str__(self) -> str:
        return f"{self.name}: AUROC {self.auroc:.3f} ({self.low:.3f} to {self.high:.3f})"


def measurable(truth: Float[ndarray, " n"], patients: Int[ndarray, " n"]) -> bool:
    """Whether there are patients enough with the label and without it."""
    return all(len(set(patients[truth == side].tolist())) >= FEWEST for side in (0, 1))


def read_by_words(
    name: str, words: Any, truth: Float[ndarray, " n"], patients: Int[ndarray, " n"], folds: Int[ndarray, " n"]
) -> Reading:
    """How well a sparse logistic model of columns [N, W] reads the label, each patient held out once."""
    from sklearn.linear_model import LogisticRegression

    score = np.zeros(len(truth))
    for fold in range(FOLDS):
        held = folds == fold
        fitted = truth[~held]
        if held.any() and 0 < fitted.mean() < 1:
            model = LogisticRegression(solver="liblinear", C=1.0, class_weight="balanced", random_state=0)
            score[held] = model.fit(words[~held], fitted).decision_function(words[held])
    return reading_of(name, score, truth, patients)


def read_by_category(
    name: str,
    category: Int[ndarray, " n"],
    truth: Float[ndarray, " n"],
    patients: Int[ndarray, " n"],
    folds: Int[ndarray, " n"],
) -> Reading:
    """How well the share of the label in a category (0…), among the other folds' cases, reads the label.

    A share is drawn towards that of all cases as if two cases more were of it, so that rare categories say little.
    """
    score = np.zeros(len(truth))
    size = int(category.max()) + 1
    for fold in range(FOLDS):
        held = folds == fold
        if held.all():
            continue
        seen, known = category[~held], truth[~held]
        count = np.bincount(seen, minlength=size)
        positive = np.bincount(seen, weights=known, minlength=size)
        # Minus the share of all: it differs between folds, against the truth that is held out.
        score[held] = ((positive + 2 * known.mean()) / (count + 2) - known.mean())[category[held]]
    return reading_of(name, score, truth, patients)


def reading_of(
    name: str, score: Float[ndarray, " n"], truth: Float[ndarray, " n"], patients: Int[ndarray, " n"]
) -> Reading:
    """The AUROC of a score with its interval: the bootstrap draws whole patients (Field & Welsh 2007)."""
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0])
    members = np.unique(patients, return_inverse=True)[1][order]
    count = int(members.max()) + 1
    sides = truth[order] == 1
    value = float(_auroc(np.ones((1, len(order))), sides, starts)[0])
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(0, DRAWS, _AT_A_TIME):
        weights = rng.multinomial(count, np.full(count, 1 / count), size=_AT_A_TIME).astype(float)
        drawn.append(_auroc(weights[:, members], sides, starts))
    values = np.concatenate(drawn)
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, (0.025, 0.975)) if len(values) else (math.nan, math.nan)
    # Where the sides are told apart without a fault every draw is 1, which is no certainty: the spread is at least
    # that of one case the other way.
    spread = max(float(values.std()) if len(values) else 1.0, 0.5 / min(sides.sum(), len(sides) - sides.sum()))
    chance = 1 - NormalDist().cdf((value - 0.5) / spread)
    low = min(float(low), value)
    return Reading(name, value, low, max(float(high), value), chance, int(sides.sum()), int((~sides).sum()))


def _auroc(
    weights: Float[ndarray, "b n"], sides: Bool[ndarray, " n"], starts: Int[ndarray, " s"]
) -> Float[ndarray, " b"]:
    """Weighted AUROC of cases in the order of their score; `starts` begin stretches of equal scores (ties half)."""
    positive = np.add.reduceat(weights * sides, starts, axis=1)
    negative = np.add.reduceat(weights * ~sides, starts, axis=1)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    found = np.full(len(weights), np.nan)
    np.divide((positive * below).sum(axis=1), pairs, out=found, where=pairs > 0)
    return found
