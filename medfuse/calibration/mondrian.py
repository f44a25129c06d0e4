"""Conformal sets that hold for each label, or for each pattern of modalities, by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration.conformal import ConformalSets, refuse_store
from medfuse.cohort import Task

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray


class ClassConditionalSets(ConformalSets):
    r"""Mondrian sets: a label is in the set if $1 - p_y \le \hat q_y$, with a threshold from each label's own cases.

    A new case whose true label is y then has it in its set with probability at least the coverage, for every y: the
    rare label is not paid for by the common one. A label with fewer than about $1 / \alpha$ cases is never left out.
    In a multilabel task present and absent each have a threshold of their own, for every label.

    Attributes:
        thresholds_: $\hat q_y$ by label [C]; multilabel: of present, then of absent [2 C].

    Source: Vovk 2012, Conditional validity of inductive conformal predictors (ACML), section 4; for LAC, Sadinle, Lei &
    Wasserman 2019, JASA 114:223-234, section 4.
    """

    name = "class"

    def _scores(self, probability: ndarray, labels: ndarray) -> list[ndarray]:
        present = [1 - p[told == 1] for p, told in zip(probability.T, labels.T, strict=True)]
        if self.task == "multiclass":
            return present
        return present + [p[told == 0] for p, told in zip(probability.T, labels.T, strict=True)]

    def _limits(self) -> tuple[ndarray, ndarray]:
        if self.task == "multiclass":
            return np.array(self.thresholds_), np.array(self.thresholds_)
        present, absent = np.split(np.array(self.thresholds_), 2)
        return present, absent


class PatternSets(ConformalSets):
    r"""Marginal sets with a threshold for each pattern of modalities.

    The coverage then holds for cases with a note alone as for those with everything. Patterns with fewer than
    $2 / \alpha$ cases share one threshold, as do patterns that calibration never saw; for those together it holds too.

    Attributes:
        sets_: Marginal sets by pattern, a binary number with the first modality as its lowest bit.
        rest_: Those of all other patterns together.

    Source: Vovk 2012, Conditional validity of inductive conformal predictors (ACML), section 4, with the pattern as
    the taxonomy.
    """

    name = "pattern"
    sets_: dict[int, ConformalSets]
    rest_: ConformalSets

    def __init__(self, coverage: float = 0.9, task: Task = "multiclass") -> None:
        super().__init__(coverage, task)
        self.least = math.ceil(2 / (1 - coverage) - 1e-9)

    def fit(
        self,
        probability: Float[ndarray, "n c"],
        labels: Float[ndarray, "n c"],
        present: Int[ndarray, " n"] | None = None,
    ) -> PatternSets:
        """Find the thresholds; `present` is the pattern that each case has [N], and needed.

        Raises:
            ValueError: If the shapes differ or a probability is not in 0…1.
        """
        probability, labels, present = self._checked(probability, labels, present)
        values, counts = np.unique(present, return_counts=True)
        often = values[counts >= self.least].tolist()
        make = ConformalSets(self.coverage, self.task)
        self.sets_ = {}
        for pattern in often:
            rows = present == pattern
            self.sets_[pattern] = ConformalSets(self.coverage, self.task).fit(probability[rows], labels[rows])
        rest = ~np.isin(present, often)
        self.rest_ = make.fit(probability[rest], labels[rest])
        return self

    def predict(
        self, probability: Float[ndarray, "n c"], present: Int[ndarray, " n"] | None = None
    ) -> Bool[ndarray, "n c"]:
        """Which labels are in each case's set [N, C]."""
        return self._each("predict", probability, present)

    def abstains(
        self, probability: Float[ndarray, "n c"], present: Int[ndarray, " n"] | None = None
    ) -> Bool[ndarray, " n"]:
        """Whether a case's set names no single answer [N]."""
        return self._each("abstains", probability, present)

    def allows_absence(
        self, probability: Float[ndarray, "n c"], present: Int[ndarray, " n"] | None = None
    ) -> Bool[ndarray, "n c"]:
        """Whether the absence of a label cannot be excluded either [N, C]; in a multilabel task only."""
        return self._each("allows_absence", probability, present)

    def _each(self, method: str, probability: ndarray, present: ndarray | None) -> ndarray:
        probability = np.asarray(probability, dtype=float)
        _, _, present = self._checked(probability, probability, present)
        found = np.asarray(getattr(self.rest_, method)(probability))
        for pattern, sets in self.sets_.items():
            rows = present == pattern
            found[rows] = getattr(sets, method)(probability[rows])
        return found

    @staticmethod
    def _checked(probability: Any, labels: Any, present: Any) -> tuple[ndarray, ndarray, ndarray]:
        probability, labels = np.asarray(probability, dtype=float), np.asarray(labels, dtype=float)
        if present is None or len(present) != len(probability) or len(labels) != len(probability):
            message = "sets by pattern need the pattern of every case"
            raise ValueError(message)
        return probability, labels, np.asarray(present, dtype=int)

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "name": self.name,
            "task": self.task,
            "coverage": self.coverage,
            "rest": self.rest_.to_dict(),
            "sets": {str(pattern): sets.to_dict() for pattern, sets in self.sets_.items()},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PatternSets:
        """The sets of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        with refuse_store():
            sets = cls(float(stored["coverage"]), stored["task"])
            sets.rest_ = ConformalSets.from_dict(stored["rest"])
            sets.sets_ = {int(pattern): ConformalSets.from_dict(one) for pattern, one in stored["sets"].items()}
        return sets
