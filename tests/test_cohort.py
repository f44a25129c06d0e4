from __future__ import annotations

from pathlib import Path

import pytest

from medfuse.cohort import Cohort
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
