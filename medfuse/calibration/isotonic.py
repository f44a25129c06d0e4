"""Isotonic regression: any rising curve over each label's log odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.one_vs_rest import Curve, OneVsRest

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


class IsotonicCalibration(OneVsRest):
    r"""The rising curve of least squared error, linear between its corners, within $1/(n + 2)$ and $(n + 1)/(n + 2)$.

    n cases of a label cannot show that something never happens; the limits are what Laplace's rule of succession says
    of an event that n cases did not show, so that no new case is promised 0 or 1.

    Source: Zadrozny & Elkan 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates (KDD).
    """

    name = "isotonic"

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """A thousand, below which a sigmoid does better (Niculescu-Mizil & Caruana 2005), a hundred a label.

        Source: Predicting Good Probabilities with Supervised Learning (ICML).
        """
        return max(1000, 100 * labels)

    def learn(self, odds: Float[ndarray, " n"], told: Float[ndarray, " n"]) -> Curve:
        """The corners of the curve."""
        from sklearn.isotonic import IsotonicRegression

        least = 1 / (len(odds) + 2)
        found = IsotonicRegression(y_min=least, y_max=1 - least, out_of_bounds="clip").fit(odds, told)
        return {"odds": found.X_thresholds_.tolist(), "probability": found.y_thresholds_.tolist()}

    def apply(self, curve: Curve, odds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Probabilities [N]."""
        return np.asarray(np.interp(odds, curve["odds"], curve["probability"]))
