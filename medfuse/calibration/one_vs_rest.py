"""One label at a time: what calibrates a binary classifier, applied to each label against the others."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration.calibrator import Calibrator
from medfuse.calibration.likelihood import log_sigmoid, one_vs_rest

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

Curve = dict[str, list[float]]
TINY = float(np.finfo(float).tiny)


class OneVsRest(Calibrator):
    """Calibrates each label's log odds against all others by itself; multiclass probabilities are then normalised.

    A label whose known cases are all alike is left as the model has it.

    Attributes:
        curves_: What was learned of each label, lists of numbers by name; None where nothing was.

    Source: Zadrozny & Elkan 2002, Transforming Classifier Scores into Accurate Multiclass Probability Estimates (KDD).
    """

    curves_: list[Curve | None]

    def log_proba(self, logits: Float[ndarray, "n c"]) -> Float[ndarray, "n c"]:
        """Natural logarithms of the probabilities [N, C]."""
        return self._map(logits)

    def _map(self, logits: ndarray) -> ndarray:
        odds = one_vs_rest(logits, self.task)
        columns = [
            log_sigmoid(column) if curve is None else np.log(np.maximum(self.apply(curve, column), TINY))
            for column, curve in zip(odds.T, self.curves_, strict=True)
        ]
        found = np.stack(columns, axis=1)
        return found - np.logaddexp.reduce(found, axis=1, keepdims=True) if self.task == "multiclass" else found

    def _start(self, labels: int) -> None:
        self.curves_ = [None] * labels

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        odds = one_vs_rest(logits, self.task)
        for place, (column, told) in enumerate(zip(odds.T, labels.T, strict=True)):
            known = ~np.isnan(told)
            if len(set(told[known])) == 2:
                self.curves_[place] = self.learn(column[known], told[known])

    @abstractmethod
    def learn(self, odds: Float[ndarray, " n"], told: Float[ndarray, " n"]) -> Curve:
        """What the log odds and the known labels (both 1 and 0 occur) of one label teach."""

    @abstractmethod
    def apply(self, curve: Curve, odds: Float[ndarray, " n"]) -> Float[ndarray, " n"]:
        """Probabilities [N] of one label."""

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {**super().to_dict(), "curves": self.curves_}

    def _restore(self, stored: Mapping[str, Any]) -> None:
        self.curves_ = []
        for curve in stored["curves"]:
            numbers = None if curve is None else {str(key): [float(x) for x in row] for key, row in curve.items()}
            if numbers is not None:
                if not all(np.isfinite(row).all() for row in numbers.values()):
                    message = "a curve is not finite"
                    raise ValueError(message)
                self.apply(numbers, np.zeros(1))  # a KeyError or ValueError if a part is not there
            self.curves_.append(numbers)
