"""Is a new calibration better than the old one at another site, and how many patients does that take?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration.calibrator import Calibrator
from medfuse.calibration.choose import LEAST_PATIENTS, choose, clustered_error, deal
from medfuse.calibration.likelihood import log_loss_of
from medfuse.cohort import Task

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

SIZES = (10, 15, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640)  # patients at which the learning curve is read
REPEATS = 10


@dataclass(frozen=True)
class Transfer:
    """The old calibration against a new one on cases that the new one was not fitted on.

    Attributes:
        patients: Labelled patients.
        cases: Labelled cases.
        old: Log loss by the old calibration, natural logarithm, mean over cases.
        new: The same by new ones, each chosen and fitted on the other folds (five, by patient); None with too few.
        gain: old - new.
        error: Its standard error over patients.
        curve: Gain by number of patients that a new calibration was fitted on, tested on the others: mean over
            `REPEATS` draws, with the calibrator that all cases choose, or the simplest below what it asks for.
        enough: Least number of patients on the curve from which on every gain is positive; None if none is.
        better: Whether the gain is more than one standard error.
    """

    patients: int
    cases: int
    old: float
    new: float | None
    gain: float | None
    error: float | None
    curve: Mapping[int, float]
    enough: int | None
    better: bool

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**asdict(self), "curve": {str(size): gain for size, gain in self.curve.items()}}


def transfer(
    kinds: Mapping[str, type[Calibrator]],
    old: Float[ndarray, "n c"],
    logits: Float[ndarray, "n c"],
    labels: Float[ndarray, "n c"],
    *,
    task: Task,
    patients: Sequence[str],
    seed: int = 0,
) -> Transfer:
    """Compare what `choose` makes of cases of another site with what the old calibration says of them.

    Args:
        kinds: Calibrators by name to choose from, the simplest first.
        old: Log probabilities by the old calibration [N, C].
        logits: [N, C].
        labels: 1, 0 or NaN (not known) [N, C]; every case is labelled.
        task: `multiclass` or `multilabel`.
        patients: The patient of each case.
        seed: Decides folds and draws.
    """
    who = np.asarray(patients, dtype=str)
    unique = np.unique(who)
    before = log_loss_of(old, labels, task)
    if len(unique) < LEAST_PATIENTS:
        mean = float(before.mean())
        return Transfer(len(unique), len(labels), mean, None, None, None, {}, None, better=False)

    def chosen(rows: ndarray) -> str:
        return choose(kinds, logits[rows], labels[rows], task=task, patients=who[rows].tolist(), seed=seed).chosen

    def gains(name: str, inside: ndarray, outside: ndarray) -> ndarray:
        fitted = kinds[name](task).fit(logits[inside], labels[inside])
        found: ndarray = before[outside] - log_loss_of(fitted.log_proba(logits[outside]), labels[outside], task)
        return found

    fold = deal(labels, patients, seed=seed)
    gain = np.empty(len(labels))
    for place in np.unique(fold):
        gain[fold == place] = gains(chosen(fold != place), fold != place, fold == place)
    curve = {}
    simplest, best = next(iter(kinds)), chosen(np.ones(len(labels), dtype=bool))
    rng = np.random.default_rng(seed)
    for size in (size for size in SIZES if size <= 0.8 * len(unique)):
        drawn = []
        for _ in range(REPEATS):
            inside = np.isin(who, rng.choice(unique, size, replace=False))
            name = best if inside.sum() >= kinds[best].least_cases(labels.shape[1]) else simplest
            drawn.append(float(gains(name, inside, ~inside).mean()))
        curve[size] = float(np.mean(drawn))
    error = clustered_error(gain, patients)
    mean = float(gain.mean())
    return Transfer(
        len(unique),
        len(labels),
        float(before.mean()),
        float(before.mean()) - mean,
        mean,
        error,
        curve,
        _enough({**curve, len(unique): mean}),
        better=mean > error,
    )


def _enough(curve: Mapping[int, float]) -> int | None:
    found = None
    for size in sorted(curve, reverse=True):
        if curve[size] <= 0:
            break
        found = size
    return found
