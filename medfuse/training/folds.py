"""Heads by folds: each head learns from all patients but those of its fold, and the bundle averages the heads.

What a head says of its own fold is said of patients it has not seen, so calibration, thresholds and outlier flags are
fitted on every patient, and every patient trains. A cohort of some hundred cases has more to gain from that than from a
validation and a calibration split of its own. The heads take the same number of epochs, since to stop one by its fold
would let those patients decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from medfuse.calibration import Outliers
from medfuse.cohort import Task
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import CohortError
from medfuse.model import Decided, DiagnosisModel, decide_all
from medfuse.splits import patient_folds

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

Learn = Callable[[Sequence[EncodedCase], Sequence[EncodedCase], int], None]


@dataclass(frozen=True)
class Folded:
    """What the heads say of patients that they did not see.

    Attributes:
        decided: Logits for every pattern of modalities, by the one head that did not see the case's patient. The
            average over all heads, which the bundle gives, is a little less sure of itself than any of them.
        outliers: Whether a case is like those of training; None if that could not be learned.
    """

    decided: Decided
    outliers: Outliers | None


def fit_folds(
    model: DiagnosisModel,
    encoded: Sequence[EncodedCase],
    truth: Float[ndarray, "n c"],
    learn: Learn,
    *,
    task: Task,
    seed: int,
    false_alarms: float,
) -> Folded:
    """Let each head of the model learn without its fold.

    Args:
        model: It has one head a fold.
        encoded: Labelled cases.
        truth: 1, 0 or NaN (not known) [N, C].
        learn: Called with the cases that a head learns from, those of its fold and the head's number, while it is the
            model's only head.
        task: `multiclass` or `multilabel`.
        seed: Of the folds.
        false_alarms: Share of ordinary cases that may be flagged.

    Raises:
        CohortError: If there are fewer patients than folds.
    """
    heads = model.heads
    fold = _folds(encoded, len(heads), seed)
    decided: list[Decided] = []
    outliers: list[Outliers | None] = []
    for number, head in enumerate(heads):
        model.heads = nn.ModuleList([head])
        others, held = ([one for one, of in zip(encoded, fold, strict=True) if (of == number) == own] for own in (0, 1))
        learn(others, held, number)
        model.eval()
        decided.append(decide_all(model, [one.parts for one in held]))
        seen = decide_all(model, [one.parts for one in others])
        last = decided[-1]
        outliers.append(Outliers.fit(seen.vector, truth[fold != number], last.logits[:, -1], last.vector, task=task))
    model.heads = heads
    rows = np.argsort(np.concatenate([np.flatnonzero(fold == number) for number in range(len(heads))]))
    whole = Decided(*(np.concatenate(parts)[rows] for parts in zip(*decided, strict=True)))
    fitted = [one for one in outliers if one is not None]
    if len(fitted) < len(heads):
        return Folded(whole, None)
    held_out = [(one.logits[:, -1], one.vector) for one in decided]
    return Folded(whole, Outliers.joined(fitted, held_out, false_alarms=false_alarms))


def _folds(encoded: Sequence[EncodedCase], count: int, seed: int) -> ndarray:
    cases = [one.case for one in encoded]
    patients = len({case.patient_id for case in cases})
    if patients < count:
        message = f"training.folds is {count}, but there are labelled cases of {patients} patients; set it to 1"
        raise CohortError(message)
    return np.array(patient_folds(cases, folds=count, seed=seed))
