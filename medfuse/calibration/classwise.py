"""Class-wise temperature: each label has a temperature of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.calibrator import COLDEST, HOTTEST, Calibrator
from medfuse.calibration.likelihood import minimise, residual

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


class ClasswiseTemperature(Calibrator):
    r"""$\mathrm{softmax}(z \oslash T)$, or $\sigma(z_c / T_c)$ in a multilabel task, with the $T_c$ of least log loss.

    Vector scaling without its biases. In a multiclass task the most probable label may change.

    Attributes:
        temperature_: $T_c$ by label [C], within `COLDEST`…`HOTTEST`.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks (ICML), section 4.2, with b = 0; by class as in
    Frenkel & Goldberger 2021, Network Calibration by Class-based Temperature Scaling (EUSIPCO).
    """

    name = "classwise_temperature"
    learned = ("temperature_",)
    temperature_: Float[ndarray, " c"]

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Three times the rule of thumb: a label's temperature rests on its own few cases, and runs to a bound."""
        return 30 * labels

    def _start(self, labels: int) -> None:
        self.temperature_ = np.ones(labels)

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        def loss(weight: ndarray) -> tuple[float, ndarray]:
            value, slope = residual(logits * weight, labels, self.task)
            return value, (slope * logits).sum(axis=0)

        bounds = [(1 / HOTTEST, 1 / COLDEST)] * logits.shape[1]
        self.temperature_ = 1 / minimise(loss, np.ones(logits.shape[1]), bounds=bounds)

    def _map(self, logits: ndarray) -> ndarray:
        return np.asarray(logits / self.temperature_)
