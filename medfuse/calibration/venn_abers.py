"""Venn-Abers: isotonic regression twice, with the new case taken once as positive and once as negative."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.one_vs_rest import Curve, OneVsRest

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

CORNERS = 500  # distinct scores that are told apart; more are rounded to quantiles, for the work grows by its square


class VennAbers(OneVsRest):
    r"""The inductive Venn-Abers predictor, its two probabilities merged: $p = p_1 / (1 - p_0 + p_1)$.

    $p_1$ and $p_0$ are what isotonic regression over the calibration cases and the new one says of the new one, if its
    label is taken as 1 and as 0. One of the two is calibrated whatever the distribution (their Theorem 1), and the
    merged one is the choice of least worst log loss.

    Source: Vovk & Petej 2014, Venn-Abers predictors (UAI);
    inductive as in Vovk, Petej & Fedorova 2015, arXiv:1511.00213.
    """

    name = "venn_abers"

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """As many as isotonic regression is given, whose curve it is."""
        return max(1000, 100 * labels)

    def learn(self, odds: Float[ndarray, " n"], told: Float[ndarray, " n"]) -> Curve:
        """Both probabilities at each distinct score of the calibration cases, and those scores."""
        from sklearn.isotonic import isotonic_regression

        distinct = np.unique(odds)
        if len(distinct) > CORNERS:  # each score is rounded to the nearest quantile at or below it
            grid = np.unique(np.quantile(odds, np.linspace(0, 1, CORNERS), method="lower"))
            odds = grid[np.searchsorted(grid, odds, side="right") - 1]
            distinct = grid
        place = np.searchsorted(distinct, odds)
        count = np.bincount(place, minlength=len(distinct)).astype(float)
        positive = np.bincount(place, weights=told, minlength=len(distinct))
        found: Curve = {"odds": distinct.tolist(), "zero": [], "one": []}
        for corner in range(len(distinct)):
            for name, value in (("zero", 0.0), ("one", 1.0)):
                weight, total = count.copy(), positive.copy()
                weight[corner] += 1
                total[corner] += value
                found[name].append(float(isotonic_regression(total / weight, sample_weight=weight)[corner]))
        return found

    def both(self, curve: Curve, odds: Float[ndarray, " n"]) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
        """Both probabilities, $p_0$ and $p_1$ [N], of one label.

        Between two scores the new case, taken as 1, is pooled with the score above it, and taken as 0 with the one
        below; beyond the last score there is nothing to pool it with.
        """
        zero = np.concatenate([[0.0], curve["zero"]])[np.searchsorted(curve["odds"], odds, side="right")]
        one = np.concatenate([curve["one"], [1.0]])[np.searchsorted(curve["odds"], odds, side="left")]
        return zero, one

    def apply(self, curve: Curve, odds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Merged probabilities [N]."""
        zero, one = self.both(curve, odds)
        return np.asarray(one / (1 - zero + one))
