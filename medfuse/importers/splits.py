"""Splits as sources give them, and those that they leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from medfuse.case import SPLITS, Case, Split
from medfuse.splits import SPLIT_TWENTIETHS, patient_folds

# How sources call them.
SPLIT_NAMES: Mapping[str, Split] = {
    **{split: split for split in SPLITS},
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validate": "validation",
    "dev": "validation",
    "testing": "test",
}
_SEED = 0


def fill_splits(cases: Sequence[Case]) -> tuple[Case, ...]:
    """Draw validation and calibration from the training patients where a source has a train split but not those.

    What is given stays: no case leaves test, and none enters it. A source that splits nothing is left alone, and so is
    one with too few patients.
    """
    given = {case.split for case in cases}
    absent: list[Split] = [split for split in ("validation", "calibration") if split not in given]
    places = [place for place, case in enumerate(cases) if case.split == "train"]
    train = [cases[place] for place in places]
    folds = min(20, len({case.patient_id for case in train}))
    if not absent or None in given or folds < 4:
        return tuple(cases)
    owner: list[Split] = []
    for split in absent:
        owner += [split] * max(1, SPLIT_TWENTIETHS[split] * folds // 20)
    owner += ["train"] * (folds - len(owner))
    drawn = list(cases)
    for place, fold in zip(places, patient_folds(train, folds=folds, seed=_SEED), strict=True):
        drawn[place] = replace(cases[place], split=owner[fold])
    return tuple(drawn)
