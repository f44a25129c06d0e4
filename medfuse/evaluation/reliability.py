"""Whether probabilities hold: calibration errors, the parts of the Brier score, slope and intercept, a smooth curve."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.evaluation.delong import wald
from medfuse.evaluation.intervals import LEVEL, number
from medfuse.evaluation.logistic import fit_logistic
from medfuse.evaluation.metrics import BINS, bin_starts

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

EDGE = 1e-6  # probabilities are taken as within EDGE…1-EDGE before their logit
KNOTS = (0.05, 0.35, 0.65, 0.95)  # quantiles of the logit, four knots (Harrell 2015)
CURVE_POINTS = 41
FEWEST = 20  # cases with the label and cases without it below which no curve is drawn


def equal_mass(probability: Float[ndarray, " n"], *, bins: int = BINS) -> Int[ndarray, " n"]:
    """The bin of each case: as many cases in each as ties allow; equal probabilities are never parted."""
    order = np.argsort(-probability, kind="stable")
    starts = bin_starts(probability[order], bins=bins)
    member = np.empty(len(probability), dtype=int)
    member[order] = np.searchsorted(starts, np.arange(len(probability)), side="right") - 1
    return member


def equal_width(probability: Float[ndarray, " n"], *, bins: int = BINS) -> Int[ndarray, " n"]:
    """The bin of each case: 0…1 cut into stretches of one width; 1 belongs to the last."""
    return np.asarray(np.minimum((np.asarray(probability) * bins).astype(int), bins - 1))


def calibration_error(answer: ndarray, probability: ndarray, member: Int[ndarray, " n"]) -> float:
    r"""$\sum_b \frac{n_b}{n} |\bar y_b - \bar p_b|$ over given bins (Naeini et al. 2015, AAAI); NaN for no case."""
    if not len(member):
        return math.nan
    return float(np.abs(np.bincount(member, weights=answer - probability)).sum() / len(member))


def debiased_error(answer: ndarray, probability: ndarray, member: Int[ndarray, " n"]) -> float:
    r"""Root of the debiased squared calibration error (Kumar et al. 2019, NeurIPS).

    $\sum_b \frac{n_b}{n} \left[ (\bar y_b - \bar p_b)^2 - \frac{\bar y_b (1 - \bar y_b)}{n_b - 1} \right]$: what
    chance alone adds to the square is taken off, so a calibrated model gives about 0 however few cases there are. A
    negative sum counts as 0. Bins with one case have no estimate of chance and are left out.
    """
    count = np.bincount(member)
    used = count > 1
    if not used.any():
        return math.nan
    n = count[used]
    observed = np.bincount(member, weights=answer)[used] / n
    gap = np.bincount(member, weights=answer - probability)[used] / n
    squared = (n * (gap**2 - observed * (1 - observed) / (n - 1))).sum() / n.sum()
    return math.sqrt(max(0.0, float(squared)))


def brier_parts(answer: ndarray, probability: ndarray, member: Int[ndarray, " n"]) -> dict[str, float]:
    r"""The Brier score as reliability - resolution + uncertainty + variance - covariance within bins.

    The first three are Murphy's (1973, J. Applied Meteorology 12:595-600); they add up to the score only where all
    probabilities of a bin are alike. The last two close the gap for any bins: within a bin, $\overline{(p - \bar p)^2}$
    and $2 \overline{(y - \bar y)(p - \bar p)}$ (Stephenson et al. 2008, Weather and Forecasting 23:752-757).

    Returns:
        `reliability` (0 is best), `resolution` (more is better), `uncertainty` (of the cases, not of the model),
        `within_variance` and `within_covariance`; NaN for no case.
    """
    names = ("reliability", "resolution", "uncertainty", "within_variance", "within_covariance")
    if not len(member):
        return dict.fromkeys(names, math.nan)
    count = np.bincount(member)
    filled = np.maximum(count, 1)
    said, observed = (np.bincount(member, weights=values) / filled for values in (probability, answer))
    share, base = count / len(member), float(answer.mean())
    values = (
        (share * (said - observed) ** 2).sum(),
        (share * (observed - base) ** 2).sum(),
        base * (1 - base),
        ((probability - said[member]) ** 2).mean(),
        2 * ((probability - said[member]) * (answer - observed[member])).mean(),
    )
    return {name: float(value) for name, value in zip(names, values, strict=True)}


def recalibration(answer: ndarray, probability: ndarray, member: ndarray) -> dict[str, Any]:
    r"""Calibration in the large, slope, and observed to expected, each with its interval over patients.

    `slope` is b of $\mathrm{logit}\, P(y) = a + b\, \mathrm{logit}(p)$ (Cox 1958, Biometrika 45:562-565): below 1 the
    probabilities are too extreme. `intercept` is a with b held at 1: above 0 they are too low on the whole (Van
    Calster et al. 2019, BMC Medicine 17:230).
    """
    logit = _logit(probability)
    ones = np.ones((len(answer), 1))
    large = fit_logistic(ones, answer, member=member, offset=logit)
    both = fit_logistic(np.column_stack([ones, logit]), answer, member=member) if _spread(logit) > 1e-9 else None
    why = _why_not(answer, logit, member)
    expected, observed = float(probability.sum()), float(answer.sum())
    return {
        "intercept": _estimate(large, 0, why),
        "slope": _estimate(both, 1, why),
        "observed_to_expected": observed / expected if expected > 0 else None,
    }


def smooth_curve(answer: ndarray, probability: ndarray, member: ndarray) -> list[dict[str, float]]:
    """Observed fraction as a smooth function of the probability, with its band; empty where cases are too few.

    A logistic regression on a restricted cubic spline of the logit (Harrell 2015, Regression Modeling Strategies;
    flexible calibration curve of Van Calster et al. 2016, J. Clin. Epidemiol. 74:167-176), from the 1st to the
    99th percentile of the probabilities. The band is of each point by itself, over patients.
    """
    if min(answer.sum(), len(answer) - answer.sum()) < FEWEST:
        return []
    logit = _logit(probability)
    knots = np.quantile(logit, KNOTS)
    curved = bool((np.diff(knots) > 1e-3).all())

    def design(values: ndarray) -> ndarray:
        columns = [np.ones_like(values), values, *(_spline(values, knots) if curved else ())]
        return np.column_stack(columns)

    fitted = fit_logistic(design(logit), answer, member=member) if _spread(logit) > 1e-3 else None
    if fitted is None:
        return []
    lowest, highest = np.quantile(probability, (0.01, 0.99)).tolist()
    said = np.linspace(lowest, highest, CURVE_POINTS)
    inputs = design(_logit(said))
    middle = inputs @ fitted.coefficient
    spread = np.sqrt(np.einsum("ij,jk,ik->i", inputs, fitted.covariance, inputs).clip(min=0))
    half = NormalDist().inv_cdf((1 + LEVEL) / 2) * spread
    rows = zip(said, *(_expit(line) for line in (middle, middle - half, middle + half)), strict=True)
    return [{"said": s, "observed": o, "low": low, "high": high} for s, o, low, high in (map(float, r) for r in rows)]


def reliability_of(answer: ndarray, probability: ndarray, patients: Sequence[str] | ndarray) -> dict[str, Any]:
    """All of this module for one label's known cases, ready for JSON (None for what is undefined).

    Args:
        answer: 1 or 0 [N].
        probability: [N].
        patients: Whose each case is [N].
    """
    member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1]
    width, mass = equal_width(probability), equal_mass(probability)
    return {
        "ece_equal_width": number(calibration_error(answer, probability, width)),
        "ece_equal_mass": number(calibration_error(answer, probability, mass)),
        "rmsce_debiased": number(debiased_error(answer, probability, mass)),
        "brier_parts": {name: number(value) for name, value in brier_parts(answer, probability, mass).items()},
        **recalibration(answer, probability, member),
        "curve": smooth_curve(answer, probability, member),
    }


def top_label_error(truth: Float[ndarray, "n c"], probability: Float[ndarray, "n c"]) -> float | None:
    """ECE of the most probable label in ten bins of equal width (Guo et al. 2017, ICML), multiclass only."""
    told = np.flatnonzero(np.nansum(truth, axis=1) == 1)
    if not told.size:
        return None
    chosen = probability[told].argmax(axis=1)
    sure = np.clip(probability[told, chosen], 0, 1)
    right = truth[told, chosen] == 1
    return number(calibration_error(right.astype(float), sure, equal_width(sure)))


def _why_not(answer: ndarray, logit: ndarray, member: ndarray) -> str:
    if not len(answer):
        return "no case for which it is known"
    if answer.min() == answer.max():
        return "all cases have the same truth"
    if _spread(logit) <= 1e-9:
        return "all probabilities are alike"
    if len(np.unique(member)) < 2:
        return "one patient gives no estimate"
    return "the probabilities separate the cases: no finite slope"


def _estimate(fitted: Any, place: int, why: str) -> dict[str, Any]:
    if fitted is None:
        return {"value": None, "low": None, "high": None, "reason": why}
    value = float(fitted.coefficient[place])
    low, high = wald(value, float(fitted.covariance[place, place]))
    return {"value": value, "low": number(low), "high": number(high)}


def _spline(values: ndarray, knots: Float[ndarray, " k"]) -> list[ndarray]:
    """The curved part of a restricted cubic spline, linear beyond the outer knots (Harrell 2015)."""
    cubed = [np.maximum(values - knot, 0) ** 3 for knot in knots]
    last, before, scale = knots[-1], knots[-2], (knots[-1] - knots[0]) ** 2
    return [
        (cubed[j] - cubed[-2] * (last - knots[j]) / (last - before) + cubed[-1] * (before - knots[j]) / (last - before))
        / scale
        for j in range(len(knots) - 2)
    ]


def _spread(values: ndarray) -> float:
    return float(values.max(initial=-math.inf) - values.min(initial=math.inf))


def _logit(probability: ndarray) -> ndarray:
    clipped = np.clip(probability, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def _expit(value: ndarray) -> ndarray:
    return np.asarray(1 / (1 + np.exp(-value)))
