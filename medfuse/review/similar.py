"""Cases of training that the model sees as like another: told by their labels, and without who they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfuse.case import Case
from medfuse.cohort import Task
from medfuse.errors import MedfuseError
from medfuse.review.decision import Review

if TYPE_CHECKING:
    from jaxtyping import Float

    from medfuse.inference import Predictor

MOST = 5000  # cases of training that are compared with
SHOWN = 10


@dataclass(frozen=True, slots=True)
class Similar:
    """One similar case; neither its id nor its patient's is kept.

    Attributes:
        likeness: Cosine of the standardised fused vectors, −1 … 1.
        answer: The labels that apply.
        reviewed: Whether a reader said so; else the cohort does.
        modalities: What of the case the model had.
    """

    likeness: float
    answer: tuple[str, ...]
    reviewed: bool
    modalities: tuple[str, ...]


@dataclass(frozen=True)
class TrainingCases:
    """The fused vectors of training cases whose labels are known.

    Attributes:
        vectors: Standardised by their own mean and deviation, of length 1 [N, D].
        mean: Of each dimension [D].
        deviation: Of each dimension; 1 where it is 0 [D].
        told: What may be told of each.
        patients: Whose each is, to leave a patient's own cases out.
    """

    vectors: Float[np.ndarray, "n d"]
    mean: Float[np.ndarray, " d"]
    deviation: Float[np.ndarray, " d"]
    told: tuple[Similar, ...]
    patients: tuple[str, ...]

    @classmethod
    def of(
        cls,
        predictor: Predictor,
        cases: Iterable[Case],
        reviews: Mapping[str, Review],
        *,
        progress: Callable[[int], None] | None = None,
    ) -> TrainingCases:
        """Encode the cases that the bundle was trained on.

        Args:
            predictor: With the bundle.
            cases: Of the cohort; those of patients that training did not see, or without a label, are left out, as
                are those after the first `MOST`.
            reviews: The decision that stands for each case; it counts before the cohort's labels.
            progress: Called with the number of cases that were encoded.

        Raises:
            MedfuseError: If none is left.
        """
        bundle = predictor.bundle
        known: list[Case] = []
        for case in cases:
            if bundle.split_of(case.patient_id) == "train" and _answer(case, reviews.get(case.case_id), bundle.task):
                known.append(case)
            if len(known) == MOST:
                break
        vectors, told, patients = [], [], []
        for batch, found in predictor.vectors(known):
            for one, vector in zip(batch, found, strict=True):
                answer = _answer(one.case, reviews.get(one.case.case_id), bundle.task)
                if one.parts and answer is not None:
                    vectors.append(vector)
                    told.append(Similar(0.0, *answer, modalities=tuple(one.parts)))
                    patients.append(one.case.patient_id)
            if progress is not None:
                progress(len(batch))
        if not vectors:
            message = "this cohort has no labelled cases that the model was trained on, so there is nothing to compare"
            raise MedfuseError(message)
        stack = np.stack(vectors)
        mean, deviation = stack.mean(axis=0), stack.std(axis=0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        return cls(_unit((stack - mean) / deviation), mean, deviation, tuple(told), tuple(patients))

    def nearest(self, predictor: Predictor, case: Case, *, most: int = SHOWN) -> tuple[Similar, ...]:
        """The cases most like another, of other patients, the most similar first; none if it cannot be read."""
        ((batch, vectors),) = predictor.vectors([case])
        if not batch[0].parts:
            return ()
        likeness = self.vectors @ _unit((vectors - self.mean) / self.deviation)[0]
        order = [row for row in np.argsort(-likeness, kind="stable") if self.patients[row] != case.patient_id]
        told = [(self.told[row], float(likeness[row])) for row in order[:most]]
        return tuple(Similar(value, one.answer, one.reviewed, one.modalities) for one, value in told)


def _answer(case: Case, review: Review | None, task: Task) -> tuple[tuple[str, ...], bool] | None:
    """The labels that apply and whether a reader said so; None if they are not known."""
    said = review.answer(task) if review is not None else None
    if said is not None:
        return tuple(sorted(said)), True
    if not case.labels or all(value is None for value in case.labels.values()):
        return None
    return tuple(label for label, value in case.labels.items() if value == 1), False


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
