from __future__ import annotations

from collections import Counter

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
    assert {case.split for case in cohort.cases if case.case_id != "cat_9"} <= {"train", "calibration"}


def test_damaged_notes_and_links_that_lead_out_are_left_out(source, tmp_path):
    (source / "cat" / "2.txt").write_bytes(b"%PDF-")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (source / "cat" / "out.png").symlink_to(tmp_path / "secret.png")
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    assert "'cat/out.png' lies outside source; left out" in cohort.problems
    assert any("note 'cat/2.txt'" in problem and "damaged PDF" in problem for problem in cohort.problems)
    assert len(cohort.cases) == 5


def test_one_label_or_an_output_inside_is_an_error(source, tmp_path):
    with pytest.raises(CohortError, match="two labels or more"):
        import_cohort("image-folder", source / "dog", tmp_path / "out")
    with pytest.raises(CohortError, match="inside the source"):
        import_cohort("image-folder", source, source / "out")
    with pytest.raises(CohortError, match="is not there"):
        import_cohort("image-folder", source, tmp_path / "out", patients="who.csv")


@pytest.fixture
def hugging_face(tmp_path):
    """`train` and `test`, pictures numbered anew in each, with metadata as CSV here and as JSON lines there."""
    source = tmp_path / "products"
    for split, count in {"train": 12, "test": 2}.items():
        (source / split).mkdir(parents=True)
        for number in range(count):
            (source / split / f"{number:04}.jpg").write_bytes(f"{split}{number}".encode())
    lines = [f"{n:04}.jpg,shoe number {n},{'fake' if n % 2 else 'real'},{n}.5" for n in range(12)]
    (source / "train" / "metadata.csv").write_text("\n".join(["file_name,text,label,price", *lines]) + "\n")
    (source / "test" / "metadata.jsonl").write_text(
        '{"file_name": "0000.jpg", "text": "a shoe", "label": "real", "price": 3}\n\n'
        '{"file_name": "0001.jpg", "text": null, "label": "fake"}\n'
    )
    return source


def test_hugging_face_metadata_are_texts_labels_and_values(hugging_face, tmp_path):
    cohort = import_cohort("image-folder", hugging_face, tmp_path / "out", tabular="price")
    assert (cohort.task, cohort.labels, cohort.tabular) == ("multiclass", ("fake", "real"), {"price": "number"})
    cases = {case.case_id: case for case in cohort.cases}
    assert len(cases) == 14
    assert cases["train_2_0000"].notes[0].path.read_text() == "shoe number 0\n"
    assert cases["train_2_0000"].scans[0].path.read_bytes() == b"train0"
    assert cases["train_2_0000"].values == {"price": 0.5}
    assert cases["test_1_0000"].labels == {"fake": 0, "real": 1}
    assert (cases["test_2_0001"].notes, cases["test_2_0001"].values) == ((), {"price": None})
    assert [case.split for case in cohort.in_split("test")] == ["test", "test"]
    assert cohort.problems == ()


def test_splits_that_a_source_lacks_are_drawn_from_its_training_patients(hugging_face, tmp_path):
    cohort = import_cohort("image-folder", hugging_face, tmp_path / "out")
    counts = Counter(case.split for case in cohort.cases)
    assert counts["test"] == 2
    assert min(counts["validation"], counts["calibration"]) >= 1
    assert counts["train"] >= 6
    assert {case.split for case in cohort.cases if case.case_id.startswith("test")} == {"test"}


def test_metadata_with_labels_folders(tmp_path):
    source = tmp_path / "source"
    for name in ("cat/1.png", "dog/1.png"):
        (source / name).parent.mkdir(parents=True)
        (source / name).write_bytes(name.encode())
    (source / "metadata.csv").write_text("file_name,text\ncat/1.png,striped\ndog/1.png,\n../x.png,gone\n")
    cohort = import_cohort("image-folder", source, tmp_path / "out")
    assert [case.labels for case in cohort.cases] == [
        {"cat": 1, "dog": 0},
        {"cat": 0, "dog": 1},
        {"cat": None, "dog": None},
    ]
    assert [len(case.scans) for case in cohort.cases] == [1, 1, 0]
    assert cohort.problems == ("metadata.csv row 4: image '../x.png' lies outside source; left out",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"file_name": "1.png"', "line 1: not a JSON object"),
        ("[1, 2]", "line 1: not a JSON object"),
        ("", "metadata without rows"),
        ('{"name": "1.png"}', "no column 'file_name'"),
        ('{"file_name": "1.png", "text": "a"}', "which column is the label?"),
        ("[" * 100_000, "line 1: not a JSON object"),
    ],
)
def test_metadata_that_will_not_do(tmp_path, content, message):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "metadata.jsonl").write_text(content)
    with pytest.raises(CohortError, match=message):
        import_cohort("image-folder", tmp_path / "source", tmp_path / "out")


def test_options_for_columns_need_metadata(source, tmp_path):
    with pytest.raises(CohortError, match=r"no metadata\.csv"):
        import_cohort("image-folder", source, tmp_path / "out", text="caption")
