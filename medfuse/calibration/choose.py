"""The choice among calibrators, by the log loss of cases that each was not fitted on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration.calibrator import Calibrator, labelled
from medfuse.calibration.likelihood import log_loss_of
from medfuse.cohort import Task

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

FOLDS = 5
LEAST_PATIENTS = 2 * FOLDS  # with fewer, a fold is too small to say anything


@dataclass(frozen=True)
class Choice:
    """Why a calibrator was taken.

    Attributes:
        chosen: Its name.
        reason: In one clause.
        cases: Labelled cases that it was chosen on.
        losses: Cross-fitted log loss by name, and `uncalibrated`: natural logarithm, mean over cases.
        excess: Standard error by name of the loss above that of the best, over patients.
        left_out: Those that were not tried, each with the number of cases it asks for.
    """

    chosen: str
    reason: str
    cases: int = 0
    losses: Mapping[str, float] | None = None
    excess: Mapping[str, float] | None = None
    left_out: Mapping[str, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def choose(
    kinds: Mapping[str, type[Calibrator]],
    logits: Float[ndarray, "n c"],
    labels: Float[ndarray, "n c"],
    *,
    task: Task,
    patients: Sequence[str],
    seed: int = 0,
) -> Choice:
    """The simplest calibrator whose cross-fitted log loss is no worse than the best one's by its standard error.

    Cases are dealt into five folds by patient; each is scored by a calibrator that was fitted on the other folds. A
    calibrator is tried only with as many cases as it asks for, and the one-standard-error rule (Hastie, Tibshirani &
    Friedman 2009, section 7.10) is applied to the difference from the best on the same cases, with patients as the
    unit, so that chance among many calibrators does not choose.

    Args:
        kinds: Calibrators by name, the simplest first; that one is taken where nothing can be said.
        logits: [N, C].
        labels: 1, 0 or NaN (not known) [N, C].
        task: `multiclass` or `multilabel`.
        patients: The patient of each case.
        seed: Decides the folds.
    """
    simplest = next(iter(kinds))
    known = labelled(labels, task)
    logits, labels = logits[known], labels[known]
    patients = [patient for patient, counts in zip(patients, known, strict=True) if counts]
    if len(set(patients)) < LEAST_PATIENTS:
        reason = f"{len(set(patients))} labelled patients; a choice needs {LEAST_PATIENTS}"
        return Choice(simplest, reason, cases=len(logits))
    asked = {name: kind.least_cases(labels.shape[1]) for name, kind in kinds.items()}
    fold = deal(labels, patients, seed=seed)
    tried = [name for name in kinds if len(logits) >= asked[name] or name == simplest]
    losses = {
        name: log_loss_of(cross_fitted(lambda k=kinds[name]: k(task), logits, labels, fold), labels, task)  # type: ignore[misc]
        for name in tried
    }
    means = {name: float(loss.mean()) for name, loss in losses.items()}
    best = min(means, key=means.__getitem__)
    excess = {name: clustered_error(loss - losses[best], patients) for name, loss in losses.items()}
    chosen = next(name for name in tried if means[name] - means[best] <= excess[name] + 1e-12)
    untouched = kinds[simplest](task).fit(logits[:0], labels[:0])
    means["uncalibrated"] = float(log_loss_of(untouched.log_proba(logits), labels, task).mean())
    reason = "the least cross-fitted log loss"
    if chosen != best:
        reason = f"the simplest within one standard error of the least cross-fitted log loss ({best})"
    left_out = {name: asked[name] for name in kinds if name not in tried}
    return Choice(chosen, reason, len(logits), means, excess, left_out)


def deal(
    labels: Float[ndarray, "n c"], patients: Sequence[str], *, seed: int = 0, folds: int = FOLDS
) -> Int[ndarray, " n"]:
    """The fold 0…folds-1 of each case [N]: no patient in two, labels spread as evenly as patients allow."""
    from sklearn.model_selection import StratifiedGroupKFold

    totals = np.nansum(labels, axis=0)
    rarity = np.where(labels == 1, 1 / np.maximum(totals, 1), -1.0)
    strata = np.where((labels == 1).any(axis=1), rarity.argmax(axis=1), -1)  # the rarest label that a case has
    values, counts = np.unique(strata, return_counts=True)
    strata[np.isin(strata, values[counts < folds])] = values[counts.argmax()]
    if counts.max() < folds:
        strata[:] = 0
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    assigned = np.zeros(len(labels), dtype=int)
    for fold, (_, members) in enumerate(splitter.split(labels, strata, list(patients))):
        assigned[members] = fold
    return assigned


def cross_fitted(
    make: Callable[[], Calibrator],
    logits: Float[ndarray, "n c"],
    labels: Float[ndarray, "n c"],
    fold: Int[ndarray, " n"],
) -> Float[ndarray, "n c"]:
    """Log probabilities [N, C] of each fold, by a calibrator fitted on the others."""
    found = np.empty(logits.shape)
    for place in np.unique(fold):
        out = fold == place
        found[out] = make().fit(logits[~out], labels[~out]).log_proba(logits[out])
    return found


def clustered_error(differences: Float[ndarray, " n"], patients: Sequence[str] | Int[ndarray, " n"]) -> float:
    """Standard error of a mean over cases, with the patients as independent units (a ratio estimate's, Cochran 1977).

    Source: Sampling Techniques, 3rd edition, equation 6.9.
    """
    _, member = np.unique(np.asarray(patients), return_inverse=True)
    count = member.max() + 1
    if count < 2:
        return float("inf")
    sums = np.bincount(member, weights=differences - differences.mean())
    return float(np.sqrt(count / (count - 1) * (sums**2).sum()) / len(differences))
