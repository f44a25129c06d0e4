"""What a binned calibration error says of the truth: an interval for it, and an estimate that chance does not lift."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medfuse.evaluation.intervals import LEVEL
from medfuse.evaluation.metrics import bin_starts

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

DRAWS = 1000  # of the bins' gaps
LIFT = 0.5  # standard errors that are added to each observed gap to make the shape of the true ones
SIZES = np.concatenate([np.linspace(0, 1, 21), np.linspace(1.05, 3, 40)])  # of the true error, in those that are seen


class Gaps:
    r"""The gaps of one label's bins, $\sum (y - p) / n$ in each, with what each patient adds to them.

    The calibration error is the sum of their absolute values (see `metrics.ece`).

    Args:
        truth: 1, 0 or NaN (not known) [N].
        probability: [N].
        member: The patient of each case, as a number [N].
        patients: How many patients there are.

    Attributes:
        by_patient: [patients, bins]; no bins without a known case.
        least: Variance below which that of a gap is not taken [bins].
    """

    def __init__(self, truth: ndarray, probability: ndarray, member: ndarray, patients: int) -> None:
        known = np.flatnonzero(~np.isnan(truth))
        order = known[np.argsort(-probability[known], kind="stable")]
        starts = bin_starts(probability[order])
        place = np.searchsorted(starts, np.arange(len(order)), side="right") - 1
        bins, cases = len(starts), max(1, len(order))
        cell = member[order] * bins + place
        sums = np.bincount(cell, weights=truth[order] - probability[order], minlength=patients * bins)
        self.by_patient: Float[ndarray, "patients bins"] = sums.reshape(patients, bins) / cases
        # Where all cases of a bin are alike no spread is seen, though there is some: that of the rarer answer at the
        # rate that the model says, or of one case more if that is less.
        count = np.bincount(place, minlength=bins)
        positive = np.bincount(place, weights=truth[order], minlength=bins)
        mean = np.bincount(place, weights=probability[order], minlength=bins) / np.maximum(count, 1)
        rate = np.minimum(np.where(positive == 0, mean, 1 - mean), 1 / (count + 2))
        alike = (positive == 0) | (positive == count)
        self.least: Float[ndarray, " bins"] = np.where(alike, count * rate * (1 - rate), 0.0) / cases**2


def gaps_of(truth: Float[ndarray, "n c"], probability: Float[ndarray, "n c"], patients: Sequence[str]) -> list[Gaps]:
    """The gaps of each label that is known for some case.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        probability: [N, C].
        patients: Whose each case is [N].
    """
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    known = np.flatnonzero((~np.isnan(truth)).any(axis=0))
    return [Gaps(truth[:, c], probability[:, c], member, len(names)) for c in known]


def error_interval(gaps: Sequence[Gaps], *, level: float = LEVEL, seed: int = 0) -> tuple[float, float, float]:
    r"""Low end, median-unbiased estimate and high end of the calibration error, a mean over labels.

    Chance adds to the absolute value of every gap, most where the truth is 0, so neither the error itself nor its
    bootstrap is centred on the truth. Therefore tests are inverted: true gaps $\lambda h$ of many sizes are tried, each
    with normal deviations whose covariance (of all bins and labels) is estimated from sums over patients, and the
    interval holds the sizes under which an error like the one seen is not too rare on either side. The estimate is the
    size under which it is the median. The shape $h$ is that of the gaps seen, each enlarged by half its standard error:
    with the gaps as they are too much would be put down to chance, because what is seen is less even than what is true.
    That the intervals hold the truth as often as they should is shown by simulation (`tests/statistics`).

    Args:
        gaps: Of each label.
        level: Of the interval.
        seed: Of the normal deviations.

    Returns:
        The three, with an error of 0 as the least; NaN for fewer than two patients.

    Sources: Bröcker & Smith 2007, Weather and Forecasting 22:651-661 (chance in reliability diagrams); Kumar et al.
    2019, NeurIPS (bias of plugin estimates); test inversion as in Casella & Berger 2002, Statistical Inference, 9.2.1.
    """
    parts = np.concatenate([one.by_patient for one in gaps], axis=1)
    patients, labels = len(parts), len(gaps)
    if patients < 2 or not parts.shape[1]:
        return np.nan, np.nan, np.nan
    seen = parts.sum(axis=0)
    apart = parts - seen / patients
    spread = patients / (patients - 1) * (apart.T @ apart)
    np.fill_diagonal(spread, np.maximum(spread.diagonal(), np.concatenate([one.least for one in gaps])))
    values, vectors = np.linalg.eigh(spread)
    normal = np.random.default_rng(seed).standard_normal((DRAWS, len(values)))
    chance = normal @ (vectors * np.sqrt(values.clip(min=0))).T
    error = float(np.abs(seen).sum())
    shape = seen + LIFT * np.where(seen < 0, -1.0, 1.0) * np.sqrt(spread.diagonal())
    if not np.abs(shape).sum():
        return 0.0, 0.0, 0.0
    shape *= max(error, 1e-12) / np.abs(shape).sum()
    # How often chance gives no more than what is seen: falls as the true error grows.
    below = np.array([(np.abs(size * shape + chance).sum(axis=1) <= error + 1e-12).mean() for size in SIZES])
    tail = (1 - level) / 2
    low, middle, high = (float(_crossed(below, share)) * error / labels for share in (1 - tail, 0.5, tail))
    return low, middle, high


def _crossed(below: Float[ndarray, " sizes"], share: float) -> float:
    """The size at which a falling share is crossed; 0 if it lies under it from the start."""
    if below[0] < share:
        return 0.0
    last = int(np.flatnonzero(below >= share)[-1])
    if last == len(below) - 1:
        return float(SIZES[-1])
    part = (below[last] - share) / (below[last] - below[last + 1])
    return float(SIZES[last] + part * (SIZES[last + 1] - SIZES[last]))
