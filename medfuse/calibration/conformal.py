"""Conformal prediction sets: the labels that cannot be excluded at a chosen coverage."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from medfuse.cohort import TASKS, Task
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray

EVERYTHING = 1.0  # the threshold that excludes nothing, because no score 1 - p exceeds it


class ConformalSets:
    r"""Split conformal sets by the least ambiguous classifier (LAC): y is in the set if $1 - p_y \le \hat q$.

    $\hat q$ is the $\lceil (n + 1)(1 - \alpha) \rceil$-th smallest score $1 - p_y$ of the true labels of n calibration
    cases. A new case that is exchangeable with them then has its true label in its set with probability at least
    $1 - \alpha$, the coverage, on average over cases and calibration sets; not for each label or group by itself.
    With fewer than about $1 / \alpha$ cases no score is high enough, and every label stays in the set.

    In a multilabel task each label is a classification of its own into present and absent with its own $\hat q$, and
    the label is in the set if present cannot be excluded. The coverage is then that of each label's present-or-absent
    answer; of a rare label it is mostly earned on cases without it.

    A calibrator that was fitted on the same cases makes their scores a little too good; give probabilities of cases
    that it was not fitted on (`calibrate` cross-fits them).

    Example:
        >>> sets = ConformalSets(coverage=0.5).fit([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7]], [[1, 0], [1, 0], [0, 1]])
        >>> sets.predict([[0.85, 0.15], [0.55, 0.45]]).tolist()
        [[True, False], [False, False]]

    Args:
        coverage: $1 - \alpha$, between 0 and 1.
        task: `multiclass` or `multilabel`.

    Attributes:
        thresholds_: $\hat q$ [1], or by label [C] in a multilabel task; 1 excludes nothing.
        fitted_on_: Calibration cases behind each threshold.

    Source: Sadinle, Lei & Wasserman 2019, JASA 114:223-234; the quantile as in Angelopoulos & Bates 2021,
    arXiv:2107.07511, section 1.
    """

    name: ClassVar[str] = "marginal"
    thresholds_: tuple[float, ...]
    fitted_on_: tuple[int, ...]

    def __init__(self, coverage: float = 0.9, task: Task = "multiclass") -> None:
        if task not in TASKS or not 0 < coverage < 1:
            message = f"task is {task!r} and coverage {coverage!r}; one of {', '.join(TASKS)}, and between 0 and 1"
            raise ValueError(message)
        self.coverage = coverage
        self.task = task

    def fit(
        self,
        probability: Float[ndarray, "n c"],
        labels: Float[ndarray, "n c"],
        present: Int[ndarray, " n"] | None = None,  # noqa: ARG002 - for those that differ by pattern
    ) -> Self:
        """Find the thresholds.

        Args:
            probability: Calibrated probabilities of the calibration cases [N, C].
            labels: 1, 0 or NaN (not known) [N, C]. A multiclass case counts if exactly one of its labels is 1.
            present: The pattern of modalities that each case has [N]; only sets by pattern use it.

        Raises:
            ValueError: If the shapes differ or a probability is not in 0…1.
        """
        probability, labels = np.asarray(probability, dtype=float), np.asarray(labels, dtype=float)
        inside = ((probability >= 0) & (probability <= 1)).all()
        if probability.ndim != 2 or probability.shape != labels.shape or not inside:
            message = f"probability {probability.shape} and labels {labels.shape} should be [cases, labels], within 0…1"
            raise ValueError(message)
        if self.task == "multiclass":
            known = np.nansum(labels, axis=1) == 1
            probability, labels = probability[known], labels[known]
        scores = self._scores(probability, labels)
        self.fitted_on_ = tuple(len(column) for column in scores)
        self.thresholds_ = tuple(self._quantile(column) for column in scores)
        return self

    def _scores(self, probability: ndarray, labels: ndarray) -> list[ndarray]:
        """The scores of what is true, one array a threshold."""
        if self.task == "multiclass":
            return [1 - probability[labels == 1]]
        given = np.where(labels == 1, probability, 1 - probability)
        return [1 - column[~np.isnan(told)] for column, told in zip(given.T, labels.T, strict=True)]

    def _quantile(self, scores: Float[ndarray, " n"]) -> float:
        # Less a hair, so that 0.9 × 10 read as 9.000000000000002 does not ask for the tenth.
        rank = math.ceil((len(scores) + 1) * self.coverage - 1e-9)
        return EVERYTHING if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])

    def predict(
        self,
        probability: Float[ndarray, "n c"],
        present: Int[ndarray, " n"] | None = None,  # noqa: ARG002
    ) -> Bool[ndarray, "n c"]:
        """Which labels are in each case's set [N, C]; a multiclass set can be empty if no label is probable enough."""
        return self._within(np.asarray(probability, dtype=float), self._limits()[0])

    def abstains(
        self,
        probability: Float[ndarray, "n c"],
        present: Int[ndarray, " n"] | None = None,  # noqa: ARG002
    ) -> Bool[ndarray, " n"]:
        """Whether a case's set names no single answer [N].

        Multiclass: not exactly one label in the set. Multilabel: for some label both present and absent are possible,
        or neither.
        """
        probability = np.asarray(probability, dtype=float)
        present_limit, absent_limit = self._limits()
        inside = self._within(probability, present_limit)
        if self.task == "multiclass":
            return np.asarray(inside.sum(axis=1) != 1)
        return np.asarray((inside == self._within(1 - probability, absent_limit)).any(axis=1))

    def allows_absence(
        self,
        probability: Float[ndarray, "n c"],
        present: Int[ndarray, " n"] | None = None,  # noqa: ARG002
    ) -> Bool[ndarray, "n c"]:
        """Whether the absence of a label cannot be excluded either [N, C]; in a multilabel task only."""
        probability = np.asarray(probability, dtype=float)
        if self.task == "multiclass":
            return np.ones(probability.shape, dtype=bool)
        return self._within(1 - probability, self._limits()[1])

    def _limits(self) -> tuple[ndarray, ndarray]:
        """Thresholds of present and of absent, to compare with [N, C]."""
        return np.array(self.thresholds_), np.array(self.thresholds_)

    def _within(self, probability: ndarray, limit: ndarray) -> Bool[ndarray, "n c"]:
        one_for_all = self.task == "multiclass" and len(limit) == 1
        if probability.ndim != 2 or not (one_for_all or len(limit) == probability.shape[1]):
            message = f"probability is {probability.shape}; [cases, labels] with the labels of fit was expected"
            raise ValueError(message)
        return np.asarray(1 - probability <= limit)

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "coverage": self.coverage,
            "thresholds": list(self.thresholds_),
            "fitted_on": list(self.fitted_on_),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        """The sets of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        with refuse_store():
            sets = cls(float(stored["coverage"]), stored["task"])
            sets.thresholds_ = tuple(float(threshold) for threshold in stored["thresholds"])
            sets.fitted_on_ = tuple(int(count) for count in stored["fitted_on"])
        if not all(0 <= threshold <= EVERYTHING for threshold in sets.thresholds_):
            message = "the bundle's conformal thresholds do not lie within 0…1"
            raise BundleError(message)
        return sets


@contextmanager
def refuse_store() -> Iterator[None]:
    """What is missing or of the wrong kind in stored sets becomes one clear error."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = "the bundle's conformal sets lack task, coverage or thresholds; train or calibrate again"
        raise BundleError(message) from error
