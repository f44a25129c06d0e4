from __future__ import annotations

import random
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.case import SPLITS, Case
from medfuse.cohort import Cohort, record_splits
from medfuse.errors import CohortError
from medfuse.splits import (
    SPLIT_TWENTIETHS,
    patient_folds,
    split_by_patient,
    split_by_site,
    split_by_time,
    stratified_parts,
)

cases_of_patients = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abc?")), min_size=12, max_size=80).map(
    lambda drawn: [
        Case(f"c{i}", f"p{p}", labels={x: None if label == "?" else int(x == label) for x in "abc"})
        for i, (p, label) in enumerate(drawn)
    ]
)


@settings(deadline=None, max_examples=40)
@given(cases_of_patients, st.integers(0, 5))
def test_no_patient_is_ever_in_two_splits(cases: list[Case], seed: int) -> None:
    patients = {case.patient_id for case in cases}
    if len(patients) < 4:
        with pytest.raises(CohortError):
            split_by_patient(cases, seed=seed)
        return
    splits = split_by_patient(cases, seed=seed)
    assert splits == split_by_patient(cases, seed=seed)
    assert len({(case.patient_id, split) for case, split in zip(cases, splits, strict=True)}) == len(patients)


@settings(deadline=None, max_examples=25)
@given(cases_of_patients, st.integers(2, 4))
def test_folds_hold_every_case_once(cases: list[Case], folds: int) -> None:
    if len({case.patient_id for case in cases}) < folds:
        return
    assigned = patient_folds(cases, folds=folds, seed=0)
    assert set(assigned) <= set(range(folds))
    assert len({(case.patient_id, fold) for case, fold in zip(cases, assigned, strict=True)}) == len(
        {case.patient_id for case in cases}
    )


def many(patients: int, *, seed: int = 0, labels: str = "abcdef") -> list[Case]:
    """One to four cases a patient; labels of falling frequency, blank in a fifth of the cases."""
    rng = random.Random(seed)
    cases = []
    for patient in range(patients):
        for visit in range(rng.choice((1, 1, 2, 4))):
            truth = {
                label: None if rng.random() < 0.2 else int(rng.random() < 0.4 / (1 + n))
                for n, label in enumerate(labels)
            }
            day = date(2020, 1, 1) + timedelta(days=rng.randrange(1000))
            groups = {"site": rng.choice("xyz")}
            cases.append(Case(f"c{patient}-{visit}", f"p{patient}", time=day.isoformat(), labels=truth, groups=groups))
    return cases


def test_every_label_has_its_share_in_every_split() -> None:
    cases = many(900)
    splits = split_by_patient(cases, seed=0)
    for label in "abcdef":
        for value in (0, 1):
            holders = [split for case, split in zip(cases, splits, strict=True) if case.labels[label] == value]
            for split, twentieths in SPLIT_TWENTIETHS.items():
                assert abs(holders.count(split) - len(holders) * twentieths / 20) <= 3 + 0.01 * len(holders), (
                    label,
                    value,
                    split,
                )


def test_folds_are_as_even_as_those_of_an_independent_implementation() -> None:
    iterstrat = pytest.importorskip("iterstrat.ml_stratifiers")
    rng = np.random.default_rng(0)
    truth = (rng.random((400, 8)) < np.linspace(0.03, 0.4, 8)).astype(int)
    cases = [
        Case(f"c{i}", f"p{i}", labels=dict(zip("abcdefgh", row.tolist(), strict=True))) for i, row in enumerate(truth)
    ]

    def unevenness(parts: np.ndarray) -> float:
        counts = np.array([truth[parts == part].sum(axis=0) for part in range(5)])
        return float(np.abs(counts - truth.sum(axis=0) / 5).mean())

    theirs = np.zeros(400, dtype=int)
    splitter = iterstrat.MultilabelStratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    for part, (_, members) in enumerate(splitter.split(truth, truth)):
        theirs[members] = part
    ours = np.array(patient_folds(cases, folds=5, seed=0))
    assert unevenness(ours) <= unevenness(theirs) + 0.1 < unevenness(rng.integers(5, size=400)) / 2


def test_shares_are_those_asked_for() -> None:
    parts = Counter(stratified_parts(many(400), shares=[3, 1], seed=1))
    assert abs(parts[0] / parts.total() - 0.75) < 0.02


def test_by_time_tests_on_the_patients_seen_last() -> None:
    cases = many(200)
    splits = split_by_time(cases)
    first = {}
    for case in cases:
        first[case.patient_id] = min(case.time, first.get(case.patient_id, case.time))
    owner = {case.patient_id: split for case, split in zip(cases, splits, strict=True)}
    order = [SPLITS.index(owner[patient]) for patient in sorted(first, key=lambda p: (first[p], p))]
    assert order == sorted(order)
    assert len({(case.patient_id, split) for case, split in zip(cases, splits, strict=True)}) == len(first)
    counts = Counter(splits)
    assert all(abs(counts[split] - len(cases) * share / 20) <= 4 for split, share in SPLIT_TWENTIETHS.items())


@pytest.mark.parametrize("patients", [4, 5, 7])
def test_by_time_leaves_no_split_empty(patients: int) -> None:
    cases = [Case(f"c{i}", f"p{i}", time=f"2020-01-0{i + 1}") for i in range(patients)]
    splits = split_by_time(cases)
    assert set(splits) == set(SPLITS)
    assert [SPLITS.index(split) for split in splits] == sorted(SPLITS.index(split) for split in splits)


def test_by_time_needs_dates() -> None:
    cases = [Case(f"c{i}", f"p{i}", time="day 3" if i == 2 else f"2020-01-0{i + 1}") for i in range(6)]
    with pytest.raises(CohortError, match="1 of 6 patients have no case with a date"):
        split_by_time(cases)


def test_by_site_tests_on_those_sites_alone() -> None:
    cases = many(200)
    splits = split_by_site(cases, column="site", test=["z"], seed=0)
    away = {case.patient_id for case in cases if case.groups["site"] == "z"}
    assert all((split == "test") == (case.patient_id in away) for case, split in zip(cases, splits, strict=True))
    assert set(splits) == set(SPLITS)
    with pytest.raises(CohortError, match="no site 'q'; there are"):
        split_by_site(cases, column="site", test=["q"], seed=0)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_recorded_splits_are_held_to_their_digest(tiny_cohort: Cohort, tmp_path: Path, kind: str) -> None:
    table = pd.read_csv(tiny_cohort.folder / "cases.csv").drop(columns=["split", "scans", "notes"]).assign(extra="kept")
    table.to_csv(tmp_path / "cases.csv", index=False) if kind == "csv" else table.to_parquet(tmp_path / "cases.parquet")
    header = yaml.safe_load((tiny_cohort.folder / "cohort.yaml").read_text())
    header.pop("splits")
    (tmp_path / "cohort.yaml").write_text(yaml.safe_dump(header))
    read = Cohort.load(tmp_path)
    assert {case.split for case in read.cases} == {None}
    record_splits(read.in_splits(split_by_patient(read.cases, seed=3), by="patient", seed=3))
    again = Cohort.load(tmp_path)
    assert [case.split for case in again.cases] == split_by_patient(read.cases, seed=3)
    assert (again.splits["by"], again.splits["seed"]) == ("patient", 3)
    assert again.problems == ()
    path = tmp_path / f"cases.{kind}"
    written = pd.read_csv(path) if kind == "csv" else pd.read_parquet(path)
    assert set(written["extra"]) == {"kept"}
    moved = written["patient_id"] == written["patient_id"][0]
    written.loc[moved, "split"] = "test" if written["split"][0] != "test" else "train"
    written.to_csv(path, index=False) if kind == "csv" else written.to_parquet(path)
    assert "moved between splits" in Cohort.load(tmp_path).problems[0]
