"""Temperature scaling: one number that makes a model as sure as its calibration cases allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from medfuse.calibration.calibrator import COLDEST, HOTTEST, Calibrator
from medfuse.calibration.likelihood import residual

if TYPE_CHECKING:
    from numpy import ndarray


class TemperatureScaling(Calibrator):
    r"""$\mathrm{softmax}(z / T)$, or $\sigma(z / T)$ in a multilabel task, with the T of least negative log likelihood.

    One T for all labels, so the order of labels and of cases by one label's logit stays as it was (multilabel; in a
    multiclass task the most probable label stays).

    Example:
        >>> scaling = TemperatureScaling().fit([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [[1, 0], [0, 1], [0, 1]])
        >>> round(scaling.temperature_, 2)
        5.77

    Attributes:
        temperature_: T, within `COLDEST`…`HOTTEST`; above 1 the model was too sure. 1 without a labelled case.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks (ICML).
    """

    name = "temperature"
    learned = ("temperature_",)
    temperature_: float

    @classmethod
    def least_cases(cls, labels: int) -> int:  # noqa: ARG003 - one parameter, however many labels
        """None: it is what is left where nothing else may be chosen."""
        return 0

    @property
    def at_bound_(self) -> bool:
        """Whether T stopped at a bound, so that the cases were too few or too easy to say more."""
        return self.temperature_ in (COLDEST, HOTTEST)

    def _start(self, labels: int) -> None:  # noqa: ARG002
        self.temperature_ = 1.0

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        from scipy.optimize import minimize_scalar

        def loss(temperature: float) -> float:
            return residual(logits / temperature, labels, self.task)[0]

        # Convex in 1/T (a log-sum-exp less a linear term), so there is one valley in log T and Brent's method finds it.
        found = minimize_scalar(
            lambda log_t: loss(math.exp(log_t)),
            bounds=(math.log(COLDEST), math.log(HOTTEST)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        # The bounds too: towards one the loss can fall below what floats tell apart, and the search stops early.
        best = min((COLDEST, HOTTEST, math.exp(found.x)), key=loss)
        # Where T changes nothing (all logits alike) the model is left as it is.
        self.temperature_ = best if loss(best) < loss(1.0) - 1e-12 else 1.0

    def _map(self, logits: ndarray) -> ndarray:
        return logits / self.temperature_

    def _restore(self, stored: Mapping[str, Any]) -> None:
        super()._restore(stored)
        if not COLDEST <= self.temperature_ <= HOTTEST:
            message = f"temperature {self.temperature_} is outside {COLDEST}…{HOTTEST}"
            raise ValueError(message)
