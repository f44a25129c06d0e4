"""How far the readers of a study agree: each pair of them, and all together, label by label where there are several."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from medfuse.cohort import Task
from medfuse.review.agreement import Agreement, AgreementError, cohen_kappa, counts_of, fleiss_kappa, gwet_ac1
from medfuse.review.arbitration import CaseResult
from medfuse.review.study import Study


@dataclass(frozen=True, slots=True)
class StudyAgreement:
    """Agreement on one question.

    Attributes:
        question: The label that it is about; `diagnosis` in a multiclass task.
        pairs: Cohen's kappa by pair of readers; a pair that shares no case has none.
        fleiss: Fleiss' kappa of all readers.
        ac1: Gwet's AC1 of all readers.
    """

    question: str
    pairs: Mapping[tuple[str, str], Agreement]
    fleiss: Agreement
    ac1: Agreement


def study_agreement(
    study: Study, found: Sequence[CaseResult], *, labels: Sequence[str], task: Task
) -> tuple[StudyAgreement, ...]:
    """Agreement on the readers' own decisions, before any arbitration.

    A reader who is uncertain, or calls the image bad, gives no rating of the case.

    Args:
        study: The study.
        found: Of `results`.
        labels: The labels of the task.
        task: One question with the labels as categories (multiclass), or one yes-or-no question a label.

    Raises:
        AgreementError: If no case was rated by two readers.
    """
    questions: Sequence[str] = ("diagnosis",) if task == "multiclass" else labels
    categories: Sequence[Hashable] = tuple(labels) if task == "multiclass" else (False, True)
    told = []
    for question in questions:
        ratings = [[_rating(result, reader, question, task) for reader in study.readers] for result in found]
        counts = counts_of(ratings, categories)
        pairs = {}
        for one, two in combinations(range(len(study.readers)), 2):
            table = np.zeros((len(categories), len(categories)), dtype=int)
            for row in ratings:
                if row[one] is not None and row[two] is not None:
                    table[categories.index(row[one]), categories.index(row[two])] += 1
            if table.any():
                pairs[study.readers[one], study.readers[two]] = cohen_kappa(table)
        told.append(StudyAgreement(question, pairs, fleiss_kappa(counts), gwet_ac1(counts)))
    if not told:
        message = "there is no question to agree on"
        raise AgreementError(message)
    return tuple(told)


def _rating(result: CaseResult, reader: str, question: str, task: Task) -> Hashable | None:
    read = result.reads.get(reader)
    answer = None if read is None else read.answer(task)
    if answer is None:
        return None
    return question in answer if task == "multilabel" else next(iter(answer), None)
