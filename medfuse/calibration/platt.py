"""Platt scaling: a sigmoid over each label's log odds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.likelihood import log_sigmoid, minimise
from medfuse.calibration.one_vs_rest import Curve, OneVsRest

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


class PlattScaling(OneVsRest):
    r"""$\sigma(a s + b)$ of the log odds s, fitted to targets $(N_+ + 1)/(N_+ + 2)$ and $1/(N_- + 2)$ in place of 1, 0.

    The targets keep perfectly separated cases from certainty.

    Source: Platt 1999, Probabilistic Outputs for Support Vector Machines.
    """

    name = "platt"

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Ten a parameter."""
        return 20 * labels

    def learn(self, odds: Float[ndarray, " n"], told: Float[ndarray, " n"]) -> Curve:
        """Slope and intercept."""
        many = told.sum()
        target = np.where(told == 1, (many + 1) / (many + 2), 1 / (len(told) - many + 2))

        def loss(found: ndarray) -> tuple[float, ndarray]:
            mapped = found[0] * odds + found[1]
            slope = (np.exp(log_sigmoid(mapped)) - target) / len(odds)
            return float((np.logaddexp(0, mapped) - target * mapped).mean()), np.array([slope @ odds, slope.sum()])

        slope, intercept = minimise(loss, np.array([1.0, 0.0]))
        return {"slope": [float(slope)], "intercept": [float(intercept)]}

    def apply(self, curve: Curve, odds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Probabilities [N]."""
        return np.asarray(np.exp(log_sigmoid(curve["slope"][0] * odds + curve["intercept"][0])))
