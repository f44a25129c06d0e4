"""The cases that a model got most wrong, so that a reader can open them one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import Task
from medfuse.evaluation.metrics import SMALLEST

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

MOST = 100  # cases that are listed


def worst_cases(
    *,
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    case_ids: Sequence[str],
    labels: Sequence[str],
    task: Task,
    thresholds: Float[ndarray, "n c"] | None = None,
) -> list[dict[str, Any]]:
    """The wrongly classified cases in falling order of their loss, at most `MOST`.

    Multiclass: the most probable label is not the true one. Multilabel: a known label lies on the wrong side of its
    threshold (0.5 where there is none), and the loss is that of the worst such label.

    Returns:
        One entry a case: `case_id`, `loss` (natural logarithm) and `wrong`, a list of `label`, `truth` (1 or 0) and
        `probability`; in a multiclass task the true label first and then the one that was said.
    """
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    clipped = np.clip(probability, SMALLEST, 1 - SMALLEST)
    if task == "multiclass":
        told = np.nansum(truth, axis=1) == 1
        wrong = told[:, None] & (truth == 1)
        wrong[np.arange(len(truth)), probability.argmax(axis=1)] |= told
        wrong[told & (truth[np.arange(len(truth)), probability.argmax(axis=1)] == 1)] = False
        loss = np.where(truth == 1, -np.log(clipped), 0.0)
    else:
        at = np.full(truth.shape, 0.5) if thresholds is None else np.where(np.isnan(thresholds), 0.5, thresholds)
        wrong = ~np.isnan(truth) & ((probability >= at) != (truth == 1))
        loss = np.where(wrong, -np.log(np.where(truth == 1, clipped, 1 - clipped)), 0.0)
    worst = loss.max(axis=1, initial=0)
    rows = np.flatnonzero(wrong.any(axis=1))
    listed = rows[np.argsort(-worst[rows], kind="stable")][:MOST]
    return [
        {
            "case_id": case_ids[row],
            "loss": float(worst[row]),
            "wrong": [
                {"label": labels[c], "truth": int(truth[row, c]), "probability": float(probability[row, c])}
                for c in sorted(np.flatnonzero(wrong[row]).tolist(), key=lambda c: -truth[row, c])
            ],
        }
        for row in listed.tolist()
    ]
