"""What every calibrator is: logits and labels of calibration cases in, probabilities of new logits out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from medfuse.calibration.likelihood import log_sigmoid, log_softmax
from medfuse.cohort import TASKS, Task
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

COLDEST, HOTTEST = 0.05, 20.0  # a few perfectly separated cases ask for 0: no data carry certainty beyond this


class Calibrator(ABC):
    """Logits to probabilities, in the estimator contract of scikit-learn; what is learned ends in an underscore.

    A calibrator that was fitted without a labelled case gives the model's own probabilities: softmax, or the sigmoid
    in a multilabel task.

    Args:
        task: `multiclass` or `multilabel`.

    Attributes:
        name: Its name in a config.
        learned: The attributes that `fit` finds and a bundle stores, numbers or arrays.
        fitted_on_: Labelled cases that it was fitted on.
    """

    name: ClassVar[str]
    learned: ClassVar[tuple[str, ...]] = ()
    fitted_on_: int

    def __init__(self, task: Task = "multiclass") -> None:
        if task not in TASKS:
            message = f"task is {task!r}; it is one of {', '.join(TASKS)}"
            raise ValueError(message)
        self.task = task

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Cases below which the choice among calibrators leaves this one out, for a number of labels."""
        return 10 * labels  # ten a parameter, the rule of thumb of regression (Harrell 2015)

    def fit(self, logits: Float[ndarray, "n c"], labels: Float[ndarray, "n c"]) -> Self:
        """Learn from calibration cases.

        Args:
            logits: What the model says of them, before softmax or sigmoid [N, C].
            labels: 1, 0 or NaN (not known) [N, C]. A multiclass case counts if exactly one of its labels is 1.

        Raises:
            ValueError: If the shapes differ or a logit is not finite.
        """
        logits, labels = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
        if logits.ndim != 2 or logits.shape != labels.shape or not np.isfinite(logits).all():
            message = f"logits {logits.shape} and labels {labels.shape} should both be [cases, labels], logits finite"
            raise ValueError(message)
        known = labelled(labels, self.task)
        self.fitted_on_ = int(known.sum())
        self._start(logits.shape[1])
        if self.fitted_on_:
            self._fit(logits[known], labels[known])
        return self

    def predict_proba(self, logits: Float[ndarray, "n c"]) -> Float[ndarray, "n c"]:
        """Probabilities [N, C] of logits [N, C]; multiclass rows add up to 1."""
        return np.asarray(np.exp(self.log_proba(np.asarray(logits, dtype=float))))

    def log_proba(self, logits: Float[ndarray, "n c"]) -> Float[ndarray, "n c"]:
        """Their natural logarithms, exact where a probability is too small for a float."""
        mapped = self._map(logits)
        return log_softmax(mapped) if self.task == "multiclass" else log_sigmoid(mapped)

    @abstractmethod
    def _start(self, labels: int) -> None:
        """Set what `fit` learns so that nothing is changed."""

    @abstractmethod
    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        """Learn from cases that are labelled, at least one."""

    @abstractmethod
    def _map(self, logits: ndarray) -> ndarray:
        """Calibrated logits [N, C], before softmax or sigmoid."""

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        state = {key.removesuffix("_"): np.asarray(getattr(self, key)).tolist() for key in self.learned}
        return {"name": self.name, "task": self.task, "fitted_on": self.fitted_on_, **state}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The calibrator of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            calibrator = cls(stored["task"])
            calibrator.fitted_on_ = int(stored["fitted_on"])
            calibrator._restore(stored)
        except (KeyError, TypeError, ValueError) as error:
            message = f"the bundle's calibration is not a whole '{cls.name}' ({error}); train or calibrate again"
            raise BundleError(message) from error
        return calibrator

    def _restore(self, stored: Mapping[str, Any]) -> None:
        for key in self.learned:
            value = np.asarray(stored[key.removesuffix("_")], dtype=float)
            if not np.isfinite(value).all():
                message = f"{key.removesuffix('_')} is not finite"
                raise ValueError(message)
            setattr(self, key, value if value.ndim else float(value))


def labelled(labels: Float[ndarray, "n c"], task: Task) -> Bool[ndarray, " n"]:
    """Which cases count [N]: exactly one label is 1 (multiclass), or any is known (multilabel)."""
    return np.asarray(np.nansum(labels, axis=1) == 1 if task == "multiclass" else ~np.isnan(labels).all(axis=1))
