"""Temperature scaling: one number that makes a model as sure as its calibration cases allow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import TASKS, Task
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

COLDEST, HOTTEST = 0.05, 20.0  # a few perfectly separated cases ask for 0: no data carry certainty beyond this


class TemperatureScaling:
    r"""$\mathrm{softmax}(z / T)$, or $\sigma(z / T)$ in a multilabel task, with the T of least negative log likelihood.

    One T for all labels, so the order of labels and of cases by one label's logit stays as it was (multilabel; in a
    multiclass task the most probable label stays). Estimator contract of scikit-learn: `fit`, `predict_proba`, what is
    learned ends in an underscore.

    Example:
        >>> scaling = TemperatureScaling().fit([[4.0, 0.0], [4.0, 0.0], [0.0, 4.0]], [[1, 0], [0, 1], [0, 1]])
        >>> round(scaling.temperature_, 2)
        5.77

    Args:
        task: `multiclass` or `multilabel`.

    Attributes:
        temperature_: T, within `COLDEST`…`HOTTEST`; above 1 the model was too sure. 1 without a labelled case.
        fitted_on_: Labelled cases that T was fitted on.
        at_bound_: Whether T stopped at a bound, so that the cases were too few or too easy to say more.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks (ICML), section 4.2.
    """

    temperature_: float
    fitted_on_: int

    def __init__(self, task: Task = "multiclass") -> None:
        if task not in TASKS:
            message = f"task is {task!r}; it is one of {', '.join(TASKS)}"
            raise ValueError(message)
        self.task = task

    @property
    def at_bound_(self) -> bool:
        """Whether T stopped at a bound."""
        return self.temperature_ in (COLDEST, HOTTEST)

    def fit(self, logits: Float[ndarray, "n c"], labels: Float[ndarray, "n c"]) -> TemperatureScaling:
        """Find T.

        Args:
            logits: What the model says of the calibration cases, before softmax or sigmoid [N, C].
            labels: 1, 0 or NaN (not known) [N, C]. A multiclass case counts if exactly one of its labels is 1.

        Raises:
            ValueError: If the shapes differ or a logit is not finite.
        """
        logits, labels = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
        if logits.ndim != 2 or logits.shape != labels.shape or not np.isfinite(logits).all():
            message = f"logits {logits.shape} and labels {labels.shape} should both be [cases, labels], logits finite"
            raise ValueError(message)
        known = np.nansum(labels, axis=1) == 1 if self.task == "multiclass" else ~np.isnan(labels).all(axis=1)
        self.fitted_on_ = int(known.sum())
        self.temperature_ = 1.0
        if self.fitted_on_:
            self.temperature_ = self._least(logits[known], labels[known])
        return self

    def _least(self, logits: ndarray, labels: ndarray) -> float:
        from scipy.optimize import minimize_scalar

        loss = _categorical if self.task == "multiclass" else _binary
        # Convex in 1/T (a log-sum-exp less a linear term), so there is one valley in log T and Brent's method finds it.
        found = minimize_scalar(
            lambda log_t: loss(logits / math.exp(log_t), labels),
            bounds=(math.log(COLDEST), math.log(HOTTEST)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        # The bounds too: towards one the loss can fall below what floats tell apart, and the search stops early.
        temperature = min((COLDEST, HOTTEST, math.exp(found.x)), key=lambda t: loss(logits / t, labels))
        # Where T changes nothing (all logits alike) the model is left as it is.
        return temperature if loss(logits / temperature, labels) < loss(logits, labels) - 1e-12 else 1.0

    def predict_proba(self, logits: Float[ndarray, "n c"]) -> Float[ndarray, "n c"]:
        """Probabilities [N, C] of logits [N, C]; multiclass rows add up to 1."""
        scaled = np.asarray(logits, dtype=float) / self.temperature_
        if self.task == "multiclass":
            return np.asarray(np.exp(scaled - _log_sum_exp(scaled)))
        return np.exp(-np.logaddexp(0, -scaled))

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "name": "temperature",
            "task": self.task,
            "temperature": self.temperature_,
            "fitted_on": self.fitted_on_,
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> TemperatureScaling:
        """The calibrator of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            scaling = cls(stored["task"])
            scaling.temperature_, scaling.fitted_on_ = float(stored["temperature"]), int(stored["fitted_on"])
        except (KeyError, TypeError, ValueError) as error:
            message = "the bundle's calibration is not a temperature with its task and count; train or calibrate again"
            raise BundleError(message) from error
        if not COLDEST <= scaling.temperature_ <= HOTTEST:
            message = f"the bundle's temperature is {scaling.temperature_}; it lies in {COLDEST}…{HOTTEST}"
            raise BundleError(message)
        return scaling


def _categorical(logits: ndarray, labels: ndarray) -> float:
    """Mean negative log likelihood of the one label that is 1."""
    chosen = np.where(labels == 1, logits, 0).sum(axis=1)
    return float((_log_sum_exp(logits)[:, 0] - chosen).mean())


def _binary(logits: ndarray, labels: ndarray) -> float:
    """Mean negative log likelihood over the labels that are known."""
    return float(np.nanmean(np.logaddexp(0, logits) - labels * logits))


def _log_sum_exp(logits: ndarray) -> Float[ndarray, "n 1"]:
    highest = logits.max(axis=1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))
