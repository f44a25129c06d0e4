"""DeLong's variance of AUROC, for patients with several cases too, and for several models on the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from medfuse.evaluation.intervals import LEVEL

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


@dataclass(frozen=True)
class Areas:
    """AUROC of one or several models on the same cases.

    Attributes:
        value: The areas [K]; NaN where the cases lack one of the two classes.
        covariance: Of the areas [K, K].
    """

    value: Float[ndarray, " k"]
    covariance: Float[ndarray, "k k"]

    def interval(self, model: int = 0, *, level: float = LEVEL) -> tuple[float, float]:
        """The normal interval of one area, cut at 0 and 1; NaN where its variance is 0 or not known."""
        return wald(self.value[model], float(self.covariance[model, model]), level=level, bounds=(0.0, 1.0))

    def difference(self, one: int = 0, other: int = 1, *, level: float = LEVEL) -> tuple[float, float, float, float]:
        """Area of `one` less that of `other`: the difference, its interval and the two-sided p value."""
        gap = float(self.value[one] - self.value[other])
        spread = self.covariance
        variance = float(spread[one, one] + spread[other, other] - 2 * spread[one, other])
        low, high = wald(gap, variance, level=level)
        return gap, low, high, two_sided(gap, variance)


def delong(
    truth: Float[ndarray, " n"], scores: Float[ndarray, "k n"], *, patients: Sequence[str] | None = None
) -> Areas:
    r"""AUROC and its covariance (DeLong et al. 1988, Biometrics 44:837-845).

    The structural components come from midranks, in the time of a sort (Sun & Xu 2014, IEEE Signal Processing Letters
    21:1389-1393). Where patients have several cases the components are summed by patient (Obuchowski 1997, Biometrics
    53:567-578); with one case a patient that is DeLong's own estimate.

    Args:
        truth: 1, 0 or NaN (not known) [N].
        scores: One row a model [K, N], or [N].
        patients: Whose each case is [N]; None takes every case for a patient of its own.
    """
    known = ~np.isnan(np.asarray(truth, dtype=float))
    answer = np.asarray(truth, dtype=float)[known] == 1
    scores = np.atleast_2d(np.asarray(scores, dtype=float))[:, known]
    m, n = int(answer.sum()), int((~answer).sum())
    if not m or not n:
        return Areas(np.full(len(scores), np.nan), np.full((len(scores), len(scores)), np.nan))
    with_it, without = components(answer, scores)
    value = with_it.mean(axis=1)
    if patients is None:
        member = np.arange(len(answer))
    else:
        member = np.unique(np.asarray(patients, dtype=str)[known], return_inverse=True)[1]
    count = member.max() + 1
    ten = _by_patient(with_it - value[:, None], member[answer], count)
    one = _by_patient(without - value[:, None], member[~answer], count)
    clusters = [len(np.unique(member[answer])), len(np.unique(member[~answer])), count]
    if min(clusters) < 2:
        return Areas(value, np.full((len(scores), len(scores)), np.nan))
    factor = [k / (k - 1) for k in clusters]
    cross = ten @ one.T
    covariance = (
        factor[0] * ten @ ten.T / m**2 + factor[1] * one @ one.T / n**2 + factor[2] * (cross + cross.T) / (m * n)
    )
    return Areas(value, covariance)


def components(answer: ndarray, scores: Float[ndarray, "k n"]) -> tuple[ndarray, ndarray]:
    """For each case with the label the share of those without it that score lower (ties by half), and the reverse.

    Args:
        answer: Whether each case has the label [N]; both kinds are there.
        scores: One row a model [K, N].

    Returns:
        The components of the cases with the label [K, M] and of those without it [K, N - M].
    """
    from scipy.stats import rankdata

    every = rankdata(scores, axis=1)
    m, n = int(answer.sum()), int((~answer).sum())
    with_it = (every[:, answer] - rankdata(scores[:, answer], axis=1)) / n
    without = 1 - (every[:, ~answer] - rankdata(scores[:, ~answer], axis=1)) / m
    return with_it, without


def area_influence(
    truth: Float[ndarray, "n c"], probability: Float[ndarray, "n c"]
) -> tuple[Float[ndarray, " c"], Float[ndarray, "n c"]]:
    """AUROC by label, and how much each case moves it; the variance over patients follows from sums of the latter.

    The influence of a case is its structural component less the area, divided by the number of cases of its class.

    Returns:
        Areas [C] (NaN where undefined) and influences [N, C] (0 where a label is blank or its area undefined).
    """
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    value, influence = np.full(truth.shape[1], np.nan), np.zeros(truth.shape)
    for c, column in enumerate(truth.T):
        known = np.flatnonzero(~np.isnan(column))
        answer = column[known] == 1
        if not answer.any() or answer.all():
            continue
        with_it, without = components(answer, probability[known, c][None])
        value[c] = with_it.mean()
        influence[known[answer], c] = (with_it[0] - value[c]) / answer.sum()
        influence[known[~answer], c] = (without[0] - value[c]) / (~answer).sum()
    return value, influence


def clustered_variance(influence: Float[ndarray, " n"], patients: Sequence[str] | ndarray) -> float:
    """Variance of an estimate from the influence of each case, summed by patient; NaN with fewer than two patients."""
    names, member = np.unique(np.asarray(patients), return_inverse=True)
    if len(names) < 2:
        return math.nan
    sums = np.bincount(member, weights=influence, minlength=len(names))
    return float((sums**2).sum() * len(names) / (len(names) - 1))


def wald(
    value: float, variance: float, *, level: float = LEVEL, bounds: tuple[float, float] = (-math.inf, math.inf)
) -> tuple[float, float]:
    """The normal interval, cut at its bounds.

    NaN where the variance is not known, or is 0 at a bound, where no spread was seen and none can be inferred.
    """
    if math.isnan(value) or not variance >= 0 or (variance == 0 and value in bounds):
        return math.nan, math.nan
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(variance)
    return float(max(bounds[0], value - half)), float(min(bounds[1], value + half))


def two_sided(gap: float, variance: float) -> float:
    """Two-sided p value of a normal statistic; 1 where nothing differs in any case, NaN where it is not known."""
    if math.isnan(gap) or not variance >= 0:
        return math.nan
    if variance <= 1e-18:  # rounding of equal scores
        return 1.0 if abs(gap) < 1e-9 else 0.0
    return math.erfc(abs(gap) / math.sqrt(2 * variance))


def _by_patient(values: Float[ndarray, "k n"], member: ndarray, count: int) -> Float[ndarray, "k patients"]:
    return np.stack([np.bincount(member, weights=row, minlength=count) for row in values])
