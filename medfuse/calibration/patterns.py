"""A calibrator for each pattern of modalities, drawn towards the common one where the pattern is rare."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medfuse.calibration.calibrator import Calibrator, labelled
from medfuse.calibration.choose import LEAST_PATIENTS, clustered_error, deal
from medfuse.calibration.likelihood import log_loss_of, log_sum_exp
from medfuse.cohort import Task
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

Served = Literal["own", "withheld"]
WORTHS = (math.inf, 300.0, 100.0, 30.0)  # κ, from leaving the common calibrator alone to trusting a pattern soonest


@dataclass(frozen=True)
class PatternCalibrators:
    r"""$\log p \propto w \log p_P + (1 - w) \log p_{common}$ with $w = n_P / (n_P + \kappa)$.

    $p_P$ is by the calibrator fitted on the $n_P$ cases of pattern P, $p_{common}$ by that of all cases; a multilabel
    task pools the log odds of each label so. Of two temperatures this is the weighted mean of 1/T. The common
    calibrator counts as κ cases; κ is the one of `WORTHS` chosen by cross-fitted log loss with the one-standard-error
    rule, and infinite (the common calibrator alone) unless the data say otherwise. The pool is that of Genest &
    Zidek 1986, Combining Probability Distributions (Statistical Science 1).

    Which cases serve a pattern: `own` takes those that have exactly its modalities. `withheld` takes every case that
    has at least those, with the rest withheld from the model: many more cases, but right only where what is missing
    says nothing of the diagnosis. Where a scan is ordered because of what is suspected, `own` is the honest one. κ is
    chosen on the cases' own patterns in either way.

    Attributes:
        common: The calibrator of all cases.
        patterns: Calibrators by pattern, a binary number with the first modality as its lowest bit.
        worth: κ.
    """

    common: Calibrator
    patterns: Mapping[int, Calibrator]
    worth: float

    @classmethod
    def fit(
        cls,
        make: Callable[[], Calibrator],
        logits: Float[ndarray, "n p c"],
        labels: Float[ndarray, "n c"],
        present: Int[ndarray, " n"],
        *,
        served: Served,
        patients: Sequence[str],
        seed: int = 0,
    ) -> PatternCalibrators:
        """Fit them and choose κ.

        Args:
            make: Makes an unfitted calibrator.
            logits: Of each case with only each pattern's modalities kept [N, patterns, C]; the last keeps all.
            labels: 1, 0 or NaN (not known) [N, C].
            present: The pattern that each case has [N].
            served: Which cases serve a pattern.
            patients: The patient of each case.
            seed: Decides the folds.
        """
        task = make().task
        known = labelled(labels, task)
        logits, labels, present = logits[known], labels[known], present[known]
        patients = [patient for patient, counts in zip(patients, known, strict=True) if counts]
        worth = math.inf
        if len(set(patients)) >= LEAST_PATIENTS:
            fold = deal(labels, patients, seed=seed)
            losses = np.empty((len(WORTHS), len(labels)))
            for place in np.unique(fold):
                out = fold == place
                part = _fitted(make, logits[~out], labels[~out], present[~out], served)
                for row, kappa in enumerate(WORTHS):
                    found = cls(*part, kappa).log_proba(logits[out, -1], present[out])
                    losses[row, out] = log_loss_of(found, labels[out], task)
            best = int(losses.mean(axis=1).argmin())
            for row, kappa in enumerate(WORTHS):
                excess = losses[row] - losses[best]
                if excess.mean() <= clustered_error(excess, patients) + 1e-12:
                    worth = kappa
                    break
        common, by_pattern = _fitted(make, logits, labels, present, served)
        return cls(common, by_pattern if math.isfinite(worth) else {}, worth)

    def again(
        self, make: Callable[[], Calibrator], logits: ndarray, labels: ndarray, present: ndarray, *, served: Served
    ) -> PatternCalibrators:
        """The same with the same κ, fitted on other cases."""
        known = labelled(labels, self.common.task)
        part = _fitted(make, logits[known], labels[known], present[known], served)
        return PatternCalibrators(*part, self.worth)

    def log_proba(self, logits: Float[ndarray, "n c"], present: Int[ndarray, " n"]) -> Float[ndarray, "n c"]:
        """Natural logarithms of the probabilities [N, C] of cases with these patterns."""
        found = self.common.log_proba(logits)
        if not math.isfinite(self.worth):
            return found
        for pattern, calibrator in self.patterns.items():
            rows = present == pattern
            if rows.any():
                weight = calibrator.fitted_on_ / (calibrator.fitted_on_ + self.worth)
                found[rows] = _pooled(calibrator.log_proba(logits[rows]), found[rows], weight, self.common.task)
        return found

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON; the common calibrator is stored by itself."""
        return {
            "worth": self.worth if math.isfinite(self.worth) else None,
            "patterns": {str(pattern): calibrator.to_dict() for pattern, calibrator in self.patterns.items()},
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any], common: Calibrator) -> PatternCalibrators:
        """The calibrators of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            worth = math.inf if stored["worth"] is None else float(stored["worth"])
            found = {int(pattern): type(common).from_dict(one) for pattern, one in stored["patterns"].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = "the bundle's calibration by pattern is not whole; train or calibrate again"
            raise BundleError(message) from error
        return cls(common, found, worth)


def _fitted(
    make: Callable[[], Calibrator], logits: ndarray, labels: ndarray, present: ndarray, served: Served
) -> tuple[Calibrator, dict[int, Calibrator]]:
    found = {}
    for pattern in np.unique(present).tolist():
        rows = present == pattern if served == "own" else (present & pattern) == pattern
        if pattern:  # a case without anything is not calibrated apart
            found[pattern] = make().fit(logits[rows, pattern], labels[rows])
    return make().fit(logits[:, -1], labels), found


def _pooled(one: ndarray, other: ndarray, weight: float, task: Task) -> ndarray:
    if task == "multiclass":
        mixed = weight * one + (1 - weight) * other
        return np.asarray(mixed - log_sum_exp(mixed))
    odds = weight * _odds(one) + (1 - weight) * _odds(other)
    return np.asarray(-np.logaddexp(0, -odds))


def _odds(log_proba: ndarray) -> ndarray:
    return np.asarray(log_proba - np.log(np.maximum(-np.expm1(log_proba), np.finfo(float).tiny)))
