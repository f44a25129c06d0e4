"""Decision thresholds, fixed on cases that neither train nor test, so that no test case has a say in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

RULE = "largest Youden index"


def fixed_thresholds(
    *, probability: Float[ndarray, "n c"], truth: Float[ndarray, "n c"], labels: Sequence[str], source: str
) -> dict[str, Any]:
    """The threshold of each label from which it counts as predicted, with how many cases it rests on.

    Args:
        probability: Calibrated probabilities of the cases [N, C].
        truth: 1, 0 or NaN (not known) [N, C].
        labels: Names of the labels [C].
        source: Which cases these are, in words, such as `the validation split`.

    Returns:
        `rule`, `source` and `by_label`: `threshold` (None where the cases lack one of the two classes), `n_positive`
        and `n_negative`; ready for JSON.
    """
    found = {}
    for c, label in enumerate(labels):
        known = ~np.isnan(truth[:, c])
        answer, said = truth[known, c] == 1, probability[known, c]
        found[label] = {
            "threshold": youden_threshold(answer, said),
            "n_positive": int(answer.sum()),
            "n_negative": int((~answer).sum()),
        }
    return {"rule": RULE, "source": source, "by_label": found}


def youden_threshold(answer: ndarray, probability: Float[ndarray, " n"]) -> float | None:
    """The threshold of largest sensitivity + specificity - 1 (Youden 1950, Cancer 3:32-35).

    It lies midway between the two neighbouring probabilities; of several that are as good, the lowest is taken, which
    misses the fewest. None where one of the two classes is missing or all probabilities are alike.

    Args:
        answer: Whether each case has the label [N].
        probability: [N].
    """
    answer = np.asarray(answer, dtype=bool)
    values = np.unique(probability)
    if not answer.any() or answer.all() or len(values) < 2:
        return None
    between = (values[1:] + values[:-1]) / 2
    missed = np.searchsorted(np.sort(probability[answer]), between)
    cleared = np.searchsorted(np.sort(probability[~answer]), between)
    index = cleared / (~answer).sum() - missed / answer.sum()
    return float(between[np.flatnonzero(index >= index.max() - 1e-12)[0]])
