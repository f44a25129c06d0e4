"""Vector scaling: each label has a weight and a bias of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.bias_corrected import SPREAD
from medfuse.calibration.calibrator import COLDEST, HOTTEST, Calibrator
from medfuse.calibration.likelihood import minimise, residual

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


class VectorScaling(Calibrator):
    r"""$\mathrm{softmax}(w \circ z + b)$, or $\sigma(w_c z_c + b_c)$, with the w and b of least penalised log loss.

    The penalty on b is that of bias-corrected temperature, so that a label without a case is made rarer, not
    impossible; it fades with the number of cases. Weights stay positive, so a label's own logit never counts against
    it.

    Attributes:
        weight_: w [C], within 1/`HOTTEST`…1/`COLDEST`.
        bias_: b [C], in logits.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks (ICML).
    """

    name = "vector"
    learned = ("weight_", "bias_")
    weight_: Float[ndarray, " c"]
    bias_: Float[ndarray, " c"]

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Ten a parameter."""
        return 20 * labels

    def _start(self, labels: int) -> None:
        self.weight_, self.bias_ = np.ones(labels), np.zeros(labels)

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        ridge = 1 / (len(logits) * SPREAD**2)
        count = logits.shape[1]

        def loss(found: ndarray) -> tuple[float, ndarray]:
            weight, bias = found[:count], found[count:]
            value, slope = residual(logits * weight + bias, labels, self.task)
            gradient = np.concatenate([(slope * logits).sum(axis=0), slope.sum(axis=0) + ridge * bias])
            return value + ridge * (bias**2).sum() / 2, gradient

        bounds = [*[(1 / HOTTEST, 1 / COLDEST)] * count, *[(None, None)] * count]
        found = minimise(loss, np.concatenate([np.ones(count), np.zeros(count)]), bounds=bounds)
        self.weight_, self.bias_ = found[:count], found[count:]

    def _map(self, logits: ndarray) -> ndarray:
        return np.asarray(logits * self.weight_ + self.bias_)
