"""How far readers agree beyond chance: Cohen's kappa, Fleiss' kappa, Gwet's AC1, each with an interval.

All are $(p_a - p_e)/(1 - p_e)$ with the observed agreement $p_a$; they differ in what chance would give, $p_e$.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from jaxtyping import Float, Int
    from numpy import ndarray

Weights = Literal["none", "linear", "quadratic"]


class AgreementError(MedfuseError):
    """There is nothing of which agreement could be said."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient of agreement.

    Attributes:
        value: 1 is perfect agreement, 0 what chance would give; NaN where it is not defined (all say one thing).
        low: Lower end of the interval.
        high: Upper end of the interval.
        error: Standard error.
        observed: The share of agreement that was observed.
        cases: Cases that at least two readers rated.
    """

    value: float
    low: float
    high: float
    error: float
    observed: float
    cases: int


def counts_of(ratings: Sequence[Sequence[Hashable | None]], categories: Sequence[Hashable]) -> Int[ndarray, "n k"]:
    """How many readers put each case into each category.

    Args:
        ratings: One row a case, one entry a reader; None where a reader gave none.
        categories: Every category that there is, used or not.

    Raises:
        AgreementError: If a rating is none of the categories.
    """
    place = {category: number for number, category in enumerate(categories)}
    counts = np.zeros((len(ratings), len(categories)), dtype=int)
    for row, case in zip(counts, ratings, strict=True):
        for rating in case:
            if rating is not None:
                if rating not in place:
                    message = f"a rating is none of the {len(categories)} categories"
                    raise AgreementError(message)
                row[place[rating]] += 1
    return counts


def cohen_kappa(table: Int[ndarray, "k k"], *, weights: Weights = "none", confidence: float = 0.95) -> Agreement:
    r"""Cohen's kappa of two readers, weighted or not.

    $p_a = \sum_{ij} w_{ij} p_{ij}$ and $p_e = \sum_{ij} w_{ij} p_{i\cdot} p_{\cdot j}$, with $w_{ij} = 1$ where $i = j$
    and else 0, $1 - |i-j|/(k-1)$ (`linear`) or $1 - (i-j)^2/(k-1)^2$ (`quadratic`).

    Args:
        table: Cases by the first reader's category (row) and the second's (column), in the order of the scale.
        weights: How much two categories count as agreement.
        confidence: Of the interval, which is the estimate plus and minus a normal quantile of standard errors.

    Raises:
        AgreementError: If the table is not square, or empty.

    Source: Cohen 1960 (kappa), Cohen 1968 (weighted), Fleiss, Cohen and Everitt 1969 (standard error).
    """
    table = np.asarray(table, dtype=float)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or table.sum() <= 0:
        message = "agreement of two readers needs a square table with at least one case"
        raise AgreementError(message)
    n, weight = table.sum(), _weights(len(table), weights)
    p = table / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed, chance = float((weight * p).sum()), float(rows @ weight @ columns)
    if chance >= 1:
        return Agreement(np.nan, np.nan, np.nan, np.nan, observed, int(n))
    value = (observed - chance) / (1 - chance)
    margin = (weight @ columns)[:, None] + (rows @ weight)[None, :]
    spread = (p * (weight * (1 - chance) - margin * (1 - observed)) ** 2).sum()
    variance = (spread - (observed * chance - 2 * chance + observed) ** 2) / (n * (1 - chance) ** 4)
    error = float(np.sqrt(max(variance, 0.0)))
    reach = float(stats.norm.ppf((1 + confidence) / 2)) * error
    return Agreement(value, value - reach, min(1.0, value + reach), error, observed, int(n))


def fleiss_kappa(counts: Int[ndarray, "n k"], *, confidence: float = 0.95) -> Agreement:
    r"""Fleiss' kappa of any number of readers, who may differ from case to case: $p_e = \sum_k \pi_k^2$.

    $\pi_k$ is the mean over cases of the share of readers who chose category $k$.

    Args:
        counts: Readers by case and category (`counts_of`); cases that fewer than two rated count for $\pi$ alone.
        confidence: Of the interval, by the t distribution.

    Raises:
        AgreementError: If no case has two ratings.

    Source: Fleiss 1971; the standard error, which does not assume that kappa is 0, is Gwet's (2008).
    """
    return _multiple(counts, lambda share: (share**2).sum(), lambda share: share, confidence)


def gwet_ac1(counts: Int[ndarray, "n k"], *, confidence: float = 0.95) -> Agreement:
    r"""Gwet's AC1: $p_e = \frac{1}{K-1} \sum_k \pi_k (1 - \pi_k)$, which stays sensible where one category prevails.

    Args:
        counts: As of `fleiss_kappa`; every category has a column, used or not, as their number counts.
        confidence: As of `fleiss_kappa`.

    Raises:
        AgreementError: If no case has two ratings.

    Source: Gwet 2008, the coefficient and its standard error.
    """
    k = np.asarray(counts).shape[1]
    return _multiple(
        counts, lambda share: (share * (1 - share)).sum() / (k - 1), lambda share: (1 - share) / (k - 1), confidence
    )


def _multiple(
    counts: ndarray,
    chance_of: Callable[[ndarray], float],
    pull_of: Callable[[ndarray], ndarray],
    confidence: float,
) -> Agreement:
    r"""A coefficient and the linearised variance over cases.

    Args:
        counts: Readers by case and category.
        chance_of: $p_e$ of the shares $\pi$.
        pull_of: What one rating of each category adds to the chance agreement of its case.
        confidence: Of the interval.
    """
    counts = np.asarray(counts, dtype=float)
    counts = counts[counts.sum(axis=1) > 0]
    raters = counts.sum(axis=1)
    rated = raters >= 2
    n, m = len(counts), int(rated.sum())
    if m == 0 or counts.shape[1] < 2:
        message = "agreement needs a case that two readers rated, and two categories"
        raise AgreementError(message)
    shares = counts / raters[:, None]
    share = shares.mean(axis=0)
    agree = np.zeros(n)
    agree[rated] = (counts * (counts - 1)).sum(axis=1)[rated] / (raters * (raters - 1))[rated]
    observed, chance = agree[rated].mean(), float(chance_of(share))
    if chance >= 1:
        return Agreement(np.nan, np.nan, np.nan, np.nan, float(observed), m)
    value = float((observed - chance) / (1 - chance))
    # Each case's own coefficient, less what it does to the chance agreement through the shares.
    own = (n / m) * (agree - chance * rated) / (1 - chance)
    own = own - 2 * (1 - value) * (shares @ pull_of(share) - chance) / (1 - chance)
    error = float(np.sqrt(((own - value) ** 2).sum() / (n * (n - 1)))) if n > 1 else np.nan
    reach = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error if n > 1 else np.nan
    return Agreement(value, value - reach, min(1.0, value + reach), error, float(observed), m)


def _weights(k: int, kind: Weights) -> Float[ndarray, "k k"]:
    if kind == "none" or k == 1:
        return np.eye(k)
    apart = np.abs(np.subtract.outer(np.arange(k), np.arange(k))) / (k - 1)
    return 1 - (apart if kind == "linear" else apart**2)
