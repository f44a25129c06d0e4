from __future__ import annotations

import pytest

from medfuse.errors import CohortError
from medfuse.importers import import_cohort


@pytest.fixture
def source(tmp_path):
    for name, content in {
        "cat/1.png": b"1",
        "cat/1.txt": b"striped",
        "cat/2.png": b"2",
        "dog/1.jpg": b"3",
        "dog/deep/4.dcm": b"4",
        "dog/scan": b"\x00" * 128 + b"DICM",
        "dog/readme.md": b"text",
        "dog/.hidden.png": b"5",
    }.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "source"


def test_folders_are_labels_and_texts_beside_are_notes(source, tmp_path):
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    assert (cohort.task, cohort.labels, cohort.name) == ("multiclass", ("cat", "dog"), "source")
    assert [case.case_id for case in cohort.cases] == ["cat_1", "cat_2", "dog_1", "dog_4", "dog_scan"]
    assert [case.patient_id for case in cohort.cases] == ["1", "2", "1", "4", "scan"]
    assert cohort.cases[0].labels == {"cat": 1, "dog": 0}
    assert cohort.cases[0].notes[0].path.read_text() == "striped\n"
    assert [len(case.notes) for case in cohort.cases] == [1, 0, 0, 0, 0]
    assert cohort.problems == ("'dog/readme.md' is no DICOM, PNG, JPEG or TIFF file; left out",)


def test_a_table_names_patients(source, tmp_path):
    (source / "patients.csv").write_text("file,patient_id\ncat/1.png,ann\ndog/deep/4.dcm,ann\ncat/2.png,\n")
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    assert [case.patient_id for case in cohort.cases] == ["ann", "2", "1", "ann", "scan"]
    assert any("1 files without patient_id" in problem for problem in cohort.problems)


def test_the_same_picture_under_two_names_is_one_patient(source, tmp_path):
    (source / "dog" / "copy.png").write_bytes(b"2")
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    patients = {case.case_id: case.patient_id for case in cohort.cases}
    assert patients["dog_copy"] == patients["cat_2"] == "2+copy"


def test_folders_of_splits(source, tmp_path):
    (tmp_path / "all").mkdir()
    source.rename(tmp_path / "all" / "train")
    (tmp_path / "all" / "val" / "cat").mkdir(parents=True)
    (tmp_path / "all" / "val" / "cat" / "9.png").write_bytes(b"9")
    cohort = import_cohort("image-folder", tmp_path / "all", tmp_path / "out")
    assert cohort.labels == ("cat", "dog")
    assert {case.case_id: case.split for case in cohort.cases}["cat_9"] == "validation"
    assert cohort.cases[0].split == "train"


def test_damaged_notes_and_links_that_lead_out_are_left_out(source, tmp_path):
    (source / "cat" / "2.txt").write_bytes(b"%PDF")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (source / "cat" / "out.png").symlink_to(tmp_path / "secret.png")
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    assert "'cat/out.png' lies outside source; left out" in cohort.problems
    assert any("note 'cat/2.txt'" in problem and "a PDF" in problem for problem in cohort.problems)
    assert len(cohort.cases) == 5


def test_one_label_or_an_output_inside_is_an_error(source, tmp_path):
    with pytest.raises(CohortError, match="two labels or more"):
        import_cohort("image-folder", source / "dog", tmp_path / "out")
    with pytest.raises(CohortError, match="inside the source"):
        import_cohort("image-folder", source, source / "out")
    with pytest.raises(CohortError, match="is not there"):
        import_cohort("image-folder", source, tmp_path / "out", patients="who.csv")
