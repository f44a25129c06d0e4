from __future__ import annotations

import csv
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers import import_cohort


@pytest.fixture
def made(tmp_path):
    """Make a cohort of a table given as text, beside pictures a.png, b.png, c.png and the copy b2.png of b.png."""
    source = tmp_path / "source"
    (source / "img").mkdir(parents=True)
    for name, content in {"a": b"a", "b": b"b", "c": b"c", "b2": b"b"}.items():
        (source / "img" / f"{name}.png").write_bytes(content)
    (tmp_path / "secret.png").write_bytes(b"secret")
    count = iter(range(99))

    def make(content: str, name: str = "table.csv", **options: str) -> Cohort:
        (source / name).write_text(content)
        return import_cohort("table", source / name, tmp_path / f"out{next(count)}", **options)

    return make


def test_columns_are_guessed(made):
    cohort = made("patient_id,image,report,diagnosis\n7,img/a.png,fever,flu\n8,img/b.png,,cold\n")
    assert (cohort.task, cohort.labels) == ("multiclass", ("cold", "flu"))
    first, second = cohort.cases
    assert (first.case_id, first.patient_id, first.labels) == ("row2", "7", {"cold": 0, "flu": 1})
    assert first.scans[0].path.read_bytes() == b"a"
    assert first.notes[0].path.read_text() == "fever\n"
    assert second.notes == ()
    assert cohort.problems == ()


def test_options_name_columns(made):
    cohort = made(
        "who\tpic\tpic2\thx\tfound\tage\tsex\tsite\tpart\tbad\tworse\n"
        "p\timg/a.png\timg/b.png\tcough\tclear\t40\tF\tx\tval\t1\tno\n"
        "q\timg/c.png\t\tfever\t\t\tM\ty\ttest\t\tYES\n",
        "t.tsv",
        image="pic,pic2",
        text="hx,found",
        label="bad,worse",
        patient="who",
        split="part",
        tabular="age,sex",
        groups="site",
        redact="fever, coug*",
    )
    assert (cohort.task, cohort.labels) == ("multilabel", ("bad", "worse"))
    first, second = cohort.cases
    assert [scan.path.read_bytes() for scan in first.scans] == [b"a", b"b"]
    assert first.notes[0].path.read_text() == "HX: [redacted]\n\nFOUND: clear\n"
    assert first.labels == {"bad": 1, "worse": 0}
    assert second.labels == {"bad": None, "worse": 1}
    assert (first.split, second.split) == ("validation", "test")
    assert (first.values, second.values) == ({"age": 40.0, "sex": "F"}, {"age": None, "sex": "M"})
    assert first.groups == {"site": "x"}
    assert cohort.redaction == {"terms": ["fever", "coug*"], "replaced": {"fever": 1, "coug*": 1}}


def test_an_uncertain_label_stays_uncertain(made):
    cohort = made("image,a,b\nimg/a.png,-1,1\nimg/b.png,-1.0,2\nimg/c.png,0,0\n", "t.csv", label="a,b")
    assert [case.uncertain for case in cohort.cases] == [{"a"}, {"a"}, frozenset()]
    assert [list(case.labels.values()) for case in cohort.cases] == [[None, 1], [None, None], [0, 0]]
    assert ["-1 (uncertain) or blank" in problem for problem in cohort.problems] == [True]


def test_rows_of_one_case_are_joined(made):
    cohort = made("case,image,text,label\n1,img/a.png,one,x\n2,img/b.png,two,y\n1,img/c.png,one,x\n1,,three,\n")
    assert [case.case_id for case in cohort.cases] == ["1", "2"]
    assert len(cohort.cases[0].scans) == 2
    assert cohort.cases[0].notes[0].path.read_text() == "one\n\nthree\n"
    assert cohort.cases[0].labels == {"x": 1, "y": 0}


def test_contradictions_leave_the_label_blank(made):
    cohort = made("case,text,label\n1,one,x\n1,two,y\n")
    assert cohort.cases[0].labels == {"x": None, "y": None}
    assert cohort.problems == ("case 1: rows differ in 'label'; left blank",)


def test_images_outside_or_missing_are_left_out_and_counted(made, tmp_path):
    (tmp_path / "source" / "link.png").symlink_to(tmp_path / "secret.png")
    cohort = made(
        "image,text,label\n../secret.png,t,x\nlink.png,t,y\nnone.png,t,x\nimg,t,x\nimg/a.png,t,x\nnone.png,,y\n"
    )
    assert [len(case.scans) for case in cohort.cases] == [0, 0, 0, 0, 1]
    assert [problem.split(": ", 1)[1] for problem in cohort.problems] == [
        "image '../secret.png' lies outside source; left out",
        "image 'link.png' lies outside source; left out",
        "image 'none.png' is not there; left out",
        "image 'img' is not a file; left out",
        "image 'none.png' is not there; left out",
        "neither an image nor text; left out",
    ]
    assert not any(path.read_bytes() == b"secret" for path in cohort.folder.rglob("*.png"))


def test_patients_who_share_a_file_are_one(made):
    cohort = made("patient,image,label\np,img/a.png,x\nq,img/b.png,y\nr,img/b2.png,y\n")
    assert [case.patient_id for case in cohort.cases] == ["p", "q+r", "q+r"]
    assert len(cohort.problems) == 1


def test_bad_cells(made):
    cohort = made("text,a,b,part\nt,1,0,train\nt,maybe,1,someday\n", label="a,b", split="part")
    assert cohort.cases[1].labels == {"a": None, "b": 1}
    assert cohort.cases[1].split is None
    assert len(cohort.problems) == 2


def test_spreadsheet_tables(made, tmp_path):
    (tmp_path / "source" / "x.csv").write_bytes("text;label\ncafé;a\nthé;b\n".encode("cp1252"))
    cohort = import_cohort("table", tmp_path / "source", tmp_path / "out")
    assert cohort.cases[0].notes[0].path.read_text() == "café\n"


def test_a_folder_with_a_table_a_split(made, tmp_path):
    folder = tmp_path / "source"
    rows = "".join(f"text {n},{'ab'[n % 2]}\n" for n in range(8))
    (folder / "train.tsv").write_text(f"text,label\n{rows}".replace(",", "\t"))
    (folder / "test.csv").write_text("text,label\nheld out,a\n")
    cohort = import_cohort("table", folder, tmp_path / "out")
    assert cohort.name == "source"
    assert cohort.cases[0].case_id == "test_row2"
    assert Counter(case.split for case in cohort.cases) == {"test": 1, "train": 6, "validation": 1, "calibration": 1}
    (folder / "other.csv").write_text("text,label\n")
    with pytest.raises(CohortError, match="3 tables in the folder"):
        import_cohort("table", folder, tmp_path / "again")


def test_tables_of_splits_need_the_same_columns(made, tmp_path):
    (tmp_path / "source" / "train.csv").write_text("words,kind\na,b\nc,d\n")
    (tmp_path / "source" / "test.csv").write_text("text,label\na,b\n")
    with pytest.raises(CohortError, match=r"train\.csv: no column 'text'"):
        import_cohort("table", tmp_path / "source", tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("text,diagnoses\na,b\n", {"label": "diagnosis"}, "no column 'diagnosis'; nearest: diagnoses"),
        ("text,x\na,b\n", {}, "which column is the label?"),
        ("x,label\na,b\n", {}, "which column is the image or text?"),
        ("text,label\na,b\nc,b\n", {}, "should hold two labels or more; it holds 1"),
        ("text,label,time\na,b,1\nc,d,1\n", {"tabular": "time"}, "column 'time' cannot be"),
        ("text,label,age\na,b,1\nc,d,1\n", {"tabular": "age", "groups": "age"}, "column 'age' cannot be"),
        ("text,label\n", {}, "without rows"),
        ("image,label\nq.png,b\nr.png,c\n", {}, "no case could be made"),
    ],
)
def test_a_table_that_will_not_do(made, text, options, message):
    with pytest.raises(CohortError) as caught:
        made(text, **options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


cells = st.text(st.characters(exclude_characters="\r\x00", exclude_categories=["Cs"]), max_size=8)


@settings(deadline=None, max_examples=40)
@given(rows=st.lists(st.tuples(cells, cells, cells, cells), min_size=1, max_size=8))
def test_any_table_is_a_cohort_that_loads_or_one_clear_error(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("table")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("case", "patient", "text", "label"), *rows])
    try:
        cohort = import_cohort("table", folder / "t.csv", folder / "out", groups="")
    except CohortError:
        assert not (folder / "out").exists()
        return
    assert Cohort.load(folder / "out").problems == ()
    assert len({case.case_id for case in cohort.cases}) == len(cohort.cases)
