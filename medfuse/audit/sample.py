"""The cases that models of the audit are fitted on: labelled ones, bounded in number, in folds by patient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from medfuse.audit.measure import FOLDS
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.splits import patient_folds, stratified_parts

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

MOST = 4000  # cases; an interval of the AUROC is then about 0.02 to either side, and more would say little more


@dataclass(frozen=True)
class Sample:
    """Labelled cases of a cohort; if there are very many, of a part of the patients.

    Attributes:
        cases: The cases.
        rows: Where each stands in the cohort [N].
        patients: A number for each case's patient [N].
        folds: The fold of each case, by patient [N]; empty if there are too few patients.
        of: How many labelled cases the cohort has.
    """

    cases: tuple[Case, ...]
    rows: Int[ndarray, " n"]
    patients: Int[ndarray, " n"]
    folds: Int[ndarray, " n"]
    of: int

    @classmethod
    def draw(cls, cohort: Cohort) -> Sample:
        """Draw it; always the same of the same cohort."""
        rows = np.array([row for row, case in enumerate(cohort.cases) if case.labelled], dtype=int)
        of = len(rows)
        if of > MOST:
            part = stratified_parts([cohort.cases[row] for row in rows], shares=[MOST, of - MOST], seed=0)
            rows = rows[np.array(part) == 0]
        cases = tuple(cohort.cases[row] for row in rows)
        numbers: dict[str, int] = {}
        patients = np.array([numbers.setdefault(case.patient_id, len(numbers)) for case in cases], dtype=int)
        folds = patient_folds(cases, folds=FOLDS, seed=0) if len(numbers) >= FOLDS else []
        return cls(cases, rows, patients, np.array(folds, dtype=int), of)

    @cached_property
    def truth(self) -> dict[str, Float[ndarray, " n"]]:
        """1, 0 or NaN by label."""
        labels = self.cases[0].labels if self.cases else {}
        return {
            label: np.array([np.nan if case.labels[label] is None else case.labels[label] for case in self.cases])
            for label in labels
        }
