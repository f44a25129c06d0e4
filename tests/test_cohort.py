from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.case import Case
from medfuse.cohort import Cohort, patient_folds, split_by_patient
from medfuse.errors import CohortError

HEADER = "name: t\ntask: multiclass\nlabels: [a, b]\ntabular: {age: number}\n"
COLUMNS = "case_id,patient_id,time,split,scans,notes,diagnosis,age\n"


def write(folder: Path, rows: str, header: str = HEADER) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "cohort.yaml").write_text(header)
    (folder / "cases.csv").write_text(COLUMNS + rows)
    return folder


def test_save_and_load_keep_everything(tiny_cohort: Cohort) -> None:
    again = Cohort.load(tiny_cohort.folder)
    assert again.cases == tiny_cohort.cases
    assert again.problems == ()
    assert {case.split for case in again.cases} == {"train", "validation", "calibration", "test"}


def test_a_faulty_row_costs_only_itself(tmp_path: Path) -> None:
    rows = (
        "c1,p1,,,,,a,40\nc2,p2,,,../../etc/passwd,,b,41\nc3,p3,,,,,zebra,42\nc1,p4,,,,,a,43\n,p5,,,,,a,1\n"
        "c6,p6,,sunday,,,b,old\n"
    )
    cohort = Cohort.load(write(tmp_path / "c", rows))
    assert [case.case_id for case in cohort.cases] == ["c1", "c2", "c3", "c6"]
    told = "\n".join(cohort.problems)
    for said in ("row 3", "lies outside", "'zebra'", "stands twice", "no case_id", "'sunday'", "should hold a number"):
        assert said in told
    assert cohort.cases[1].scans == ()
    assert not cohort.cases[2].labelled
    assert cohort.cases[3].values["age"] is None


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "c", "c1,p1,,,link.png,,a,40\n")
    (tmp_path / "outside.png").write_bytes(b"x")
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    assert "lies outside" in Cohort.load(folder).problems[0]


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("task: multiclass\nlabels: [a]\n", "labels"),
        ("task: guess\nlabels: [a, b]\n", "task"),
        ("task: multiclass\nlabels: [a, b]\nlabel: x\n", "unknown key"),
        ("[1, 2", "YAML"),
        ("task: multiclass\nlabels: [a, b]\ntabular: {age: big}\n", "tabular"),
    ],
)
def test_a_faulty_header_is_one_clear_line(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(CohortError, match=said):
        Cohort.load(write(tmp_path / "c", "", header))


def test_a_patient_on_both_sides_is_refused(tmp_path: Path) -> None:
    rows = "c1,p1,,train,,,a,1\nc2,p1,,test,,,b,2\n"
    with pytest.raises(CohortError, match="both train and test"):
        Cohort.load(write(tmp_path / "c", rows)).with_splits(0)


def test_parquet_and_csv_read_alike(tiny_cohort: Cohort, tmp_path: Path) -> None:
    import pandas as pd

    folder = tmp_path / "p"
    folder.mkdir()
    for part in ("scans", "notes"):
        (folder / part).mkdir()
    (folder / "cohort.yaml").write_bytes((tiny_cohort.folder / "cohort.yaml").read_bytes())
    pd.read_csv(tiny_cohort.folder / "cases.csv").to_parquet(folder / "cases.parquet")
    cases = Cohort.load(folder).cases
    assert [case.labels for case in cases] == [case.labels for case in tiny_cohort.cases]
    assert [case.values for case in cases] == [case.values for case in tiny_cohort.cases]


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
