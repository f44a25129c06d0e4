"""Paired tests between models on the same cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.evaluation.delong import area_influence, clustered_variance, delong, two_sided, wald
from medfuse.evaluation.intervals import bca_interval, number
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.metrics import METRICS

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray


def holm(p: Sequence[float | None]) -> list[float | None]:
    """P values corrected for their number (Holm 1979, Scandinavian J. Statistics 6:65-70); None stays None."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        adjusted[place] = highest
    return adjusted


def mcnemar(one: Bool[ndarray, " n"], other: Bool[ndarray, " n"], patients: Sequence[str] | ndarray) -> dict[str, Any]:
    r"""Whether two models are right equally often (McNemar 1947, Psychometrika 12:153-157).

    With one case a patient it is the exact binomial test of the discordant cases. With several, the difference is
    summed by patient and $(\sum_g d_g)^2 / \sum_g d_g^2$ is compared with a chi-squared of one degree of freedom (in
    the manner of Durkalski et al. 2003, Statistics in Medicine 22:2417-2428), because cases of one patient are not
    independent; of single cases that is McNemar's own statistic.

    Returns:
        `only_first` and `only_second`, how many cases only one of them gets right; `p`; `method`.
    """
    from scipy.stats import binomtest

    first, second = int((one & ~other).sum()), int((~one & other).sum())
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    gaps = np.bincount(member, weights=one.astype(float) - other, minlength=len(names))
    if len(names) == len(one):
        p = 1.0 if first + second == 0 else float(binomtest(first, first + second).pvalue)
        method = "exact McNemar"
    else:
        p = two_sided(float(gaps.sum()), float((gaps**2).sum()))
        method = "McNemar, summed by patient"
    return {"only_first": first, "only_second": second, "p": p, "method": method}


def bootstrap_differences(one: Measured, other: Measured) -> dict[str, dict[str, Any]]:
    """Difference of each metric over all labels, with the BCa interval and p value of its paired bootstrap.

    Both models were scored under the same draws of the same patients. The p value is twice the smaller share of draws
    on one side of 0, with one draw added (Davison & Hinkley 1997, Bootstrap Methods).
    """
    found: dict[str, dict[str, Any]] = {}
    for name in METRICS:
        (a, draws_a, left_a), (b, draws_b, left_b) = one.over_labels(name), other.over_labels(name)
        gap = a - b
        if math.isnan(gap):
            found[name] = {"value": None, "low": None, "high": None, "p": None, "reason": "undefined on these cases"}
            continue
        draws = draws_a - draws_b
        draws = draws[~np.isnan(draws)]
        low, high = bca_interval(draws, value=gap, left_out=left_a - left_b)
        p = None
        if draws.size:
            smaller = min((draws <= 0).sum(), (draws >= 0).sum())
            p = min(1.0, 2 * (int(smaller) + 1) / (draws.size + 1))
        found[name] = {"value": gap, "low": number(low), "high": number(high), "p": p}
    return found


def delong_difference(
    truth: Float[ndarray, "n c"],
    one: Float[ndarray, "n c"],
    other: Float[ndarray, "n c"],
    patients: Sequence[str] | ndarray,
    labels: Sequence[str],
) -> dict[str, Any]:
    """Difference of AUROC by DeLong's covariance over patients: of the mean over labels, and label by label.

    Returns:
        `value`, `low`, `high`, `p`, and `labels` with the same of each label.
    """
    (value_a, moved_a), (value_b, moved_b) = area_influence(truth, one), area_influence(truth, other)
    defined = ~np.isnan(value_a)
    found: dict[str, Any] = dict.fromkeys(("value", "low", "high", "p"))
    if defined.any():
        gap = float((value_a - value_b)[defined].mean())
        variance = clustered_variance((moved_a - moved_b)[:, defined].mean(axis=1), patients)
        low, high = wald(gap, variance)
        found |= {"value": gap, "low": number(low), "high": number(high), "p": number(two_sided(gap, variance))}
    by_label: dict[str, dict[str, float | None]] = {}
    for c, label in enumerate(labels):
        areas = delong(truth[:, c], np.stack([one[:, c], other[:, c]]), patients=list(patients))
        names = ("value", "low", "high", "p")
        by_label[label] = {name: number(x) for name, x in zip(names, areas.difference(), strict=True)}
    return found | {"labels": by_label}
