"""What a threshold on one label's probability means for a thousand patients, counted on held-out cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float


@dataclass(frozen=True, slots=True)
class Consequences:
    """Of a thousand patients like the held-out cases, how many are flagged, and rightly.

    Attributes:
        found: Have the label and are flagged.
        missed: Have the label and are not flagged.
        false_alarms: Do not have the label and are flagged.
        cleared: Do not have the label and are not flagged.
        n: Held-out cases that this was counted on.
    """

    found: float
    missed: float
    false_alarms: float
    cleared: float
    n: int

    @property
    def sensitivity(self) -> float:
        """Share of those with the label that are flagged; NaN if nobody has it."""
        with_label = self.found + self.missed
        return self.found / with_label if with_label else float("nan")

    @property
    def specificity(self) -> float:
        """Share of those without the label that are not flagged; NaN if everybody has it."""
        without = self.false_alarms + self.cleared
        return self.cleared / without if without else float("nan")


def consequences(
    probability: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"], *, threshold: float
) -> Consequences:
    """Count, and scale to a thousand.

    Args:
        probability: Of the label.
        truth: Whether the case has the label.
        threshold: Cases from this probability on are flagged.
    """
    flagged = probability >= threshold
    n = len(truth)
    pairs = (flagged & truth, ~flagged & truth, flagged & ~truth, ~flagged & ~truth)
    found, missed, alarms, cleared = (1000 * float(one.sum()) / n if n else 0.0 for one in pairs)
    return Consequences(found, missed, alarms, cleared, n)


def held_out(evaluation: Path, cohort: Cohort, label: str) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Probability and truth of a label over the evaluation's cases whose truth is known.

    Raises:
        MedfuseError: If the evaluation has no predictions of the label.
    """
    import pandas as pd

    path = evaluation / "predictions.parquet"
    try:
        table = pd.read_parquet(path, columns=["case_id", f"p_{label}"])
    except (OSError, ValueError, KeyError) as error:
        message = f"{path}: has no probabilities of '{label}'; `medfuse evaluate` writes it anew"
        raise MedfuseError(message) from error
    known = {case.case_id: case.labels.get(label) for case in cohort.cases}
    truth: Sequence[int | None] = [known.get(one) for one in table["case_id"]]
    probability = table[f"p_{label}"].to_numpy(dtype=float)
    keep = np.array([one is not None for one in truth], dtype=bool) & ~np.isnan(probability)
    return probability[keep], np.array([one == 1 for one in truth], dtype=bool)[keep]
