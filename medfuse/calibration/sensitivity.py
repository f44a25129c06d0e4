"""Thresholds that keep a stated sensitivity: above which probability a label is flagged so that few are missed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray


@dataclass(frozen=True)
class SensitivityThresholds:
    """Flagging a label where its probability reaches the threshold finds at least the stated share of its cases.

    The statement holds with the stated confidence over calibration sets, for each label by itself (Learn then Test).

    Attributes:
        sensitivity: The share that is to be found.
        confidence: How sure the statement is.
        thresholds: By label; None where the calibration cases are too few to promise it, even if all were found.
        positives: Calibration cases with each label.
    """

    sensitivity: float
    confidence: float
    thresholds: tuple[float | None, ...]
    positives: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        probability: Float[ndarray, "n c"],
        labels: Float[ndarray, "n c"],
        *,
        sensitivity: float = 0.95,
        confidence: float = 0.9,
    ) -> SensitivityThresholds:
        r"""Find the highest threshold of each label that is safe.

        The thresholds at the probabilities of the calibration cases with the label are tested from the lowest up,
        each for "the sensitivity is less than stated", by the binomial tail of the number that it misses (the Bentkus
        bound of a loss of 0 or 1, which is exact); the last before the first that is not rejected is taken (fixed
        sequence testing), so that no correction for many tests is needed.

        Args:
            probability: Of cases that the calibrator was not fitted on [N, C].
            labels: 1, 0 or NaN (not known) [N, C].
            sensitivity: Between 0 and 1.
            confidence: Between 0 and 1.

        Source: Angelopoulos et al. 2021, Learn then Test, arXiv:2110.01052, sections 2.3 and 3.2.
        """
        from scipy.stats import binom

        found: list[float | None] = []
        positives = [np.sort(p[told == 1]) for p, told in zip(probability.T, labels.T, strict=True)]
        for scores in positives:
            # The threshold at the k-th score (from 0) misses k of n cases; the tail grows with k.
            tail = binom.cdf(np.arange(len(scores)), len(scores), 1 - sensitivity)
            safe = int((tail <= 1 - confidence).sum())
            found.append(float(scores[safe - 1]) if safe else None)
        return cls(sensitivity, confidence, tuple(found), tuple(map(len, positives)))

    def limits(self) -> Float[ndarray, " c"]:
        """The thresholds as numbers [C]; NaN where there is none."""
        return np.array([np.nan if one is None else one for one in self.thresholds])

    def flags(self, probability: Float[ndarray, "n c"]) -> Bool[ndarray, "n c"]:
        """Which labels reach their threshold [N, C]; never one that has none."""
        return np.asarray(np.asarray(probability, dtype=float) >= np.nan_to_num(self.limits(), nan=2.0))

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "sensitivity": self.sensitivity,
            "confidence": self.confidence,
            "thresholds": list(self.thresholds),
            "positives": list(self.positives),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SensitivityThresholds:
        """The thresholds of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            thresholds = tuple(None if one is None else float(one) for one in stored["thresholds"])
            positives = tuple(int(count) for count in stored["positives"])
            return cls(float(stored["sensitivity"]), float(stored["confidence"]), thresholds, positives)
        except (KeyError, TypeError, ValueError) as error:
            message = "the bundle's sensitivity thresholds are not whole; train or calibrate again"
            raise BundleError(message) from error
