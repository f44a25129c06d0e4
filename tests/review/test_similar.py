from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.inference import Predictor
from medfuse.review.decision import Review
from medfuse.review.similar import Similar, TrainingCases


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path, token_cache: Path) -> Predictor:
    return Predictor.load(tiny_bundle, cache=token_cache)


@pytest.fixture(scope="module")
def training(predictor: Predictor, tiny_cohort: Cohort) -> TrainingCases:
    return TrainingCases.of(predictor, tiny_cohort.cases, {})


def test_only_cases_of_training_are_compared_with(training: TrainingCases, tiny_cohort: Cohort) -> None:
    learned = {case.patient_id for case in tiny_cohort.in_split("train")}
    assert set(training.patients) == learned
    assert len(training.told) == len(tiny_cohort.in_split("train"))
    assert {field.name for field in fields(Similar)} == {"likeness", "answer", "reviewed", "modalities"}


def test_the_nearest_are_of_other_patients_and_the_most_like_come_first(
    training: TrainingCases, predictor: Predictor, tiny_cohort: Cohort
) -> None:
    case = tiny_cohort.in_split("train")[0]
    found = training.nearest(predictor, case, most=5)
    likeness = [one.likeness for one in found]
    assert likeness == sorted(likeness, reverse=True)
    assert max(likeness) <= 1 + 1e-9
    twin = training.nearest(predictor, replace(case, patient_id="somebody else"), most=1)
    assert twin[0].likeness == pytest.approx(1, abs=1e-6)  # the case itself, were it another patient's
    assert likeness[0] < twin[0].likeness
    # Of its own label more than by chance: the labels show in scan, note and value.
    test = tiny_cohort.in_split("test")
    same = [one.answer == answer_of(case) for case in test for one in training.nearest(predictor, case, most=5)]
    assert np.mean(same) > 0.5


def answer_of(case) -> tuple[str, ...]:
    return tuple(label for label, value in case.labels.items() if value)


def test_a_reader_counts_before_the_cohort_and_unlabelled_cases_are_left_out(
    predictor: Predictor, tiny_cohort: Cohort
) -> None:
    first, second, *_ = tiny_cohort.in_split("train")
    blank = replace(second, labels=dict.fromkeys(second.labels))
    review = Review(case_id=first.case_id, reader="AB", action="override", labels=("dry",))
    found = TrainingCases.of(predictor, [first, blank], {first.case_id: review})
    assert [(one.answer, one.reviewed) for one in found.told] == [(("dry",), True)]
    with pytest.raises(MedfuseError, match="nothing to compare"):
        TrainingCases.of(predictor, tiny_cohort.in_split("test"), {})
