"""Beta calibration: a sigmoid with a slope of its own on each side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.calibrator import COLDEST
from medfuse.calibration.likelihood import log_sigmoid, minimise
from medfuse.calibration.one_vs_rest import Curve, OneVsRest

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


class BetaCalibration(OneVsRest):
    r"""$\sigma(a \ln p - b \ln(1 - p) + c)$ with $a, b \ge 0$ and c of least log loss, p the sigmoid of the log odds.

    The map that is right where the scores of each class follow a beta distribution; a = b is Platt's, and
    a = b = 1, c = 0 changes nothing. a and b stay below 1/`COLDEST`.

    Source: Kull, Silva Filho & Flach 2017, Beta calibration (AISTATS).
    """

    name = "beta"

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Ten a parameter."""
        return 30 * labels

    def learn(self, odds: Float[ndarray, " n"], told: Float[ndarray, " n"]) -> Curve:
        """The three parameters."""
        sides = np.stack([log_sigmoid(odds), -log_sigmoid(-odds), np.ones_like(odds)], axis=1)

        def loss(found: ndarray) -> tuple[float, ndarray]:
            mapped = sides @ found
            slope = (np.exp(log_sigmoid(mapped)) - told) / len(told)
            return float((np.logaddexp(0, mapped) - told * mapped).mean()), slope @ sides

        bounds = [(0, 1 / COLDEST), (0, 1 / COLDEST), (None, None)]
        a, b, c = minimise(loss, np.array([1.0, 1.0, 0.0]), bounds=bounds)
        return {"a": [float(a)], "b": [float(b)], "c": [float(c)]}

    def apply(self, curve: Curve, odds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Probabilities [N]."""
        a, b, c = (curve[key][0] for key in "abc")
        return np.asarray(np.exp(log_sigmoid(a * log_sigmoid(odds) - b * log_sigmoid(-odds) + c)))
