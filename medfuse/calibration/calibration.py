"""Calibration: all that turns a model's logits into probabilities, sets and flags, fitted in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration.calibrator import Calibrator, labelled
from medfuse.calibration.choose import LEAST_PATIENTS, Choice, choose, cross_fitted, deal
from medfuse.calibration.conformal import ConformalSets
from medfuse.calibration.patterns import PatternCalibrators
from medfuse.calibration.registry import CALIBRATORS, SETS
from medfuse.calibration.sensitivity import SensitivityThresholds
from medfuse.cohort import Task
from medfuse.config import CalibrationConfig
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray


@dataclass(frozen=True)
class Calibration:
    """What the calibration cases taught.

    Attributes:
        calibrator: Logits to probabilities.
        conformal: Probabilities to prediction sets.
        by_pattern: Calibrators by pattern of modalities; None where one serves all.
        sensitivity: Thresholds that keep a stated sensitivity; None if none was asked for.
        choice: Why this calibrator.
        previous: What stood in its place before it was made for another site, as it was stored; None if nothing did.
    """

    calibrator: Calibrator
    conformal: ConformalSets
    by_pattern: PatternCalibrators | None = None
    sensitivity: SensitivityThresholds | None = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    previous: Mapping[str, Any] | None = None

    def probability(
        self, logits: Float[ndarray, "n c"], present: Int[ndarray, " n"] | None = None
    ) -> Float[ndarray, "n c"]:
        """Calibrated probabilities [N, C] of cases with these patterns (see `pattern_of`)."""
        if self.by_pattern is None or present is None:
            return self.calibrator.predict_proba(logits)
        return np.asarray(np.exp(self.by_pattern.log_proba(np.asarray(logits, dtype=float), present)))

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "calibrator": self.calibrator.to_dict(),
            "conformal": self.conformal.to_dict(),
            "by_pattern": None if self.by_pattern is None else self.by_pattern.to_dict(),
            "sensitivity": None if self.sensitivity is None else self.sensitivity.to_dict(),
            "choice": dict(self.choice),
            "previous": None if self.previous is None else dict(self.previous),
        }

    def card(self, labels: Sequence[str]) -> list[str]:
        """What a model card says of it, one line each."""
        lines = [
            f"- Calibration: {self.calibrator.name}, {self.choice.get('reason', 'stated in the config')};"
            f" fitted on {self.calibrator.fitted_on_} cases that the model was not fitted on"
        ]
        if self.previous is not None:
            lines.append("  - made again for another site; the calibration before it is kept in bundle.json")
        losses = sorted(dict(self.choice.get("losses") or {}).items(), key=lambda item: item[1])
        lines += [f"  - cross-fitted log loss of {name}: {loss:.4f}" for name, loss in losses]
        if self.by_pattern is not None:
            worth = (
                f"{self.by_pattern.worth:g} cases" if self.by_pattern.patterns else "all: patterns are not told apart"
            )
            lines.append(f"- Calibration by pattern of modalities: the common calibrator counts as {worth}")
        lines.append(f"- Prediction sets: {self.conformal.name}, nominal coverage {self.conformal.coverage:.0%}")
        if self.sensitivity is not None:
            stated = (
                f"{self.sensitivity.sensitivity:.0%} of its cases with {self.sensitivity.confidence:.0%} confidence"
            )
            for label, threshold, count in zip(
                labels, self.sensitivity.thresholds, self.sensitivity.positives, strict=True
            ):
                told = "too few cases to promise it" if threshold is None else f"flag at {threshold:.4f} or above"
                lines.append(f"- {label}, to find {stated}: {told} ({count} calibration cases)")
        return lines

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """The calibration of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            # A bundle of format 1 held a temperature and marginal sets under other names.
            kept = stored["calibrator"] if "calibrator" in stored else stored["temperature"]
            sets = stored["conformal"]
            kind = CALIBRATORS[kept["name"]]
            kind_of_sets = SETS["marginal" if sets["name"] == "lac" else sets["name"]]
            by_pattern, sensitivity = stored.get("by_pattern"), stored.get("sensitivity")
            choice = dict(stored.get("choice") or {})
        except (AttributeError, KeyError, TypeError) as error:
            message = "the bundle's calibration is not whole, or by a later medfuse; train or calibrate again"
            raise BundleError(message) from error
        calibrator = kind.from_dict(kept)
        return cls(
            calibrator,
            kind_of_sets.from_dict(sets),
            None if by_pattern is None else PatternCalibrators.from_dict(by_pattern, calibrator),
            None if sensitivity is None else SensitivityThresholds.from_dict(sensitivity),
            choice,
            stored.get("previous"),
        )


def pattern_of(present: Bool[ndarray, "n m"] | Sequence[Sequence[bool]]) -> Int[ndarray, " n"]:
    """The pattern of each case [N]: a binary number, the first modality its lowest bit (the order of `patterns`)."""
    found = np.asarray(present, dtype=bool)
    if not len(found):
        return np.zeros(0, dtype=int)
    return np.asarray(found @ (1 << np.arange(found.shape[1])), dtype=int)


def calibrate(
    logits: Float[ndarray, "n p c"],
    labels: Float[ndarray, "n c"],
    present: Bool[ndarray, "n m"],
    config: CalibrationConfig,
    *,
    task: Task,
    patients: Sequence[str],
    seed: int = 0,
) -> Calibration:
    """Choose and fit a calibrator, and fit sets and thresholds on probabilities that are cross-fitted.

    A calibrator makes the very cases it was fitted on look a little better than new ones. So the cases are dealt into
    five folds by patient, each fold's probabilities are by a calibrator fitted on the others, and the sets are fitted
    on these; with fewer than ten labelled patients, on those of the calibrator itself.

    Args:
        logits: Of calibration cases that the model was not fitted on, with each pattern's modalities kept [N, 2^M, C]
            in the order of `medfuse.model.patterns`; the last keeps all.
        labels: 1, 0 or NaN (not known) [N, C].
        present: Which modalities each case has [N, M].
        config: How.
        task: `multiclass` or `multilabel`.
        patients: The patient of each case.
        seed: Decides the folds.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> truth = rng.integers(2, size=60)
        >>> found = calibrate(
        ...     (np.eye(2)[truth] * 3 + rng.normal(size=(60, 2)))[:, None].repeat(2, axis=1), np.eye(2)[truth],
        ...     np.ones((60, 1)), CalibrationConfig(), task="multiclass", patients=[str(n) for n in range(60)],
        ... )
        >>> found.calibrator.name
        'temperature'
    """
    logits, labels = np.asarray(logits, dtype=float), np.asarray(labels, dtype=float)
    every, pattern = logits[:, -1], pattern_of(present)
    if config.method == "auto":
        choice = choose(CALIBRATORS, every, labels, task=task, patients=patients, seed=seed)
    else:
        choice = Choice(config.method, "stated in the config", cases=int(labelled(labels, task).sum()))
    kind = CALIBRATORS[choice.chosen]
    calibrator = kind(task).fit(every, labels)
    by_pattern = None
    if config.patterns != "common":
        by_pattern = PatternCalibrators.fit(
            lambda: kind(task), logits, labels, pattern, served=config.patterns, patients=patients, seed=seed
        )
    unseen = _unseen(kind, by_pattern, logits, labels, pattern, config, task=task, patients=patients, seed=seed)
    conformal = SETS[config.sets](config.coverage, task).fit(unseen, labels, pattern)
    sensitivity = None
    if config.sensitivity is not None:
        sensitivity = SensitivityThresholds.fit(
            unseen, labels, sensitivity=config.sensitivity, confidence=config.confidence
        )
    return Calibration(calibrator, conformal, by_pattern, sensitivity, choice.to_dict())


def _unseen(
    kind: type[Calibrator],
    by_pattern: PatternCalibrators | None,
    logits: ndarray,
    labels: ndarray,
    pattern: ndarray,
    config: CalibrationConfig,
    *,
    task: Task,
    patients: Sequence[str],
    seed: int,
) -> Float[ndarray, "n c"]:
    """Cross-fitted probabilities [N, C]."""
    known = labelled(labels, task)
    every = logits[:, -1]
    if len({patient for patient, counts in zip(patients, known, strict=True) if counts}) < LEAST_PATIENTS:
        return kind(task).fit(every, labels).predict_proba(every)
    fold = deal(labels, patients, seed=seed)
    if by_pattern is None or not by_pattern.patterns:
        return np.asarray(np.exp(cross_fitted(lambda: kind(task), every, labels, fold)))
    assert config.patterns != "common"
    found = np.empty(every.shape)
    for place in np.unique(fold):
        out = fold == place
        part = by_pattern.again(lambda: kind(task), logits[~out], labels[~out], pattern[~out], served=config.patterns)
        found[out] = np.exp(part.log_proba(every[out], pattern[out]))
    return found
