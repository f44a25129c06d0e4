"""Bias-corrected temperature: one temperature, and a shift of each label where it is more or less common."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.calibrator import COLDEST, HOTTEST, Calibrator
from medfuse.calibration.likelihood import minimise, residual

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

SPREAD = 2.0  # prior standard deviation of a bias: a label absent from a few cases is made rarer, not impossible


class BiasCorrectedTemperature(Calibrator):
    r"""$\mathrm{softmax}(z / T + b)$, or $\sigma(z_c / T + b_c)$, with the T and b of least penalised log loss.

    The penalty $\sum_c b_c^2 / (2 n s^2)$ is the prior $b_c \sim N(0, s^2)$ with $s$ = `SPREAD`; it fades with the
    number of cases n.

    Attributes:
        temperature_: T, within `COLDEST`…`HOTTEST`.
        bias_: b [C], in logits.

    Source: Alexandari, Kundaje & Shrikumar 2020, Maximum Likelihood with Bias-Corrected Calibration is Hard-To-Beat at
    Label Shift Adaptation (ICML).
    """

    name = "bias_corrected_temperature"
    learned = ("temperature_", "bias_")
    temperature_: float
    bias_: Float[ndarray, " c"]

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Ten a parameter."""
        return 10 * (labels + 1)

    def _start(self, labels: int) -> None:
        self.temperature_, self.bias_ = 1.0, np.zeros(labels)

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        ridge = 1 / (len(logits) * SPREAD**2)

        def loss(found: ndarray) -> tuple[float, ndarray]:
            weight, bias = found[0], found[1:]
            value, slope = residual(logits * weight + bias, labels, self.task)
            gradient = np.concatenate([[(slope * logits).sum()], slope.sum(axis=0) + ridge * bias])
            return value + ridge * (bias**2).sum() / 2, gradient

        count = logits.shape[1]
        bounds = [(1 / HOTTEST, 1 / COLDEST), *[(None, None)] * count]
        found = minimise(loss, np.concatenate([[1.0], np.zeros(count)]), bounds=bounds)
        self.temperature_, self.bias_ = float(1 / found[0]), found[1:]

    def _map(self, logits: ndarray) -> ndarray:
        return np.asarray(logits / self.temperature_ + self.bias_)
