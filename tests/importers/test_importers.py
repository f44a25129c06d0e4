"""The registry, the new folder and what every importer keeps."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers import IMPORTERS, import_cohort
from medfuse.importers.linking import linked_patients
from medfuse.importers.new_folder import NewFolder, safe_name


@pytest.fixture
def table(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "table.csv").write_text("text,label\nfever,a\ncough,b\n")
    return source / "table.csv"


def test_the_result_is_what_load_reads(table, tmp_path):
    made = import_cohort("table", table, tmp_path / "out")
    loaded = Cohort.load(tmp_path / "out")
    assert made == loaded
    assert loaded.problems == ()
    assert not (tmp_path / "out.partial").exists()


def test_progress_goes_by_case(table, tmp_path):
    seen = []
    import_cohort("table", table, tmp_path / "out", progress=seen.append)
    assert seen == [1, 1]


def test_an_empty_folder_may_be_there_and_a_full_one_stays_as_it_is(table, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    import_cohort("table", table, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(CohortError, match="not an empty folder"):
        import_cohort("table", table, out)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_crash_leaves_nothing(table, tmp_path):
    def crash(step):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        import_cohort("table", table, tmp_path / "out", progress=crash)
    assert not list(tmp_path.glob("out*"))


def test_what_a_killed_import_left_is_replaced_and_nothing_else(table, tmp_path):
    partial = tmp_path / "out.partial"
    (partial / "scans").mkdir(parents=True)
    (partial / "mine.txt").write_text("mine")
    with pytest.raises(CohortError, match="not left by an import"):
        import_cohort("table", table, tmp_path / "out")
    assert (partial / "mine.txt").read_text() == "mine"
    (partial / "mine.txt").unlink()
    import_cohort("table", table, tmp_path / "out")
    assert not partial.exists()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("tabel", {}, "no importer called 'tabel'; did you mean 'table'"),
        ("table", {"lable": "a"}, "no option of the importer 'table' called 'lable'; did you mean 'label'"),
        ("table", {"task": "icu"}, "--task is one of multiclass, multilabel"),
        ("covid-chestxray", {}, "needs a task; --task is one of icu, covid"),
        ("image-folder", {}, "not a folder"),
    ],
)
def test_wrong_use_is_one_clear_line(table, tmp_path, name, changes, message):
    with pytest.raises(CohortError) as caught:
        import_cohort(name, table, tmp_path / "out", **changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out*"))


def test_no_source(tmp_path):
    with pytest.raises(CohortError, match="no such file or folder"):
        import_cohort("table", tmp_path / "none.csv", tmp_path / "out")


def test_every_importer_says_what_it_reads():
    assert set(IMPORTERS) == {
        "covid-chestxray", "dicom-folder", "image-folder", "mimic-cxr", "openi", "table",
    }  # fmt: skip
    assert all(importer.summary and importer.tasks for importer in IMPORTERS.values())


def test_patients_are_linked_over_others():
    linked = linked_patients([("1", "a"), ("2", "b"), ("3", "c"), ("2", "a"), ("3", "b"), ("4", "d")])
    assert linked == {"1": "1+2+3", "2": "1+2+3", "3": "1+2+3", "4": "4"}


def test_names_are_safe_and_files_keep_apart(tmp_path):
    assert safe_name("../../a|b\n c") == "a_b_c"
    assert safe_name("...") == "unnamed"
    first, second = tmp_path / "1.PNG", tmp_path / "2.png"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    with NewFolder(tmp_path / "out") as folder:
        scans = [folder.scan(first, "A|b"), folder.scan(second, "a_B"), folder.scan(second, "a_B")]
    assert [scan.path.as_posix() for scan in scans] == ["scans/A_b.png", "scans/a_B-2.png", "scans/a_B-3.png"]
    assert (tmp_path / "out" / scans[1].path).read_bytes() == b"2"


DOCS = (Path(__file__).resolve().parents[2] / "docs" / "importers.md").read_text(encoding="utf-8")


def test_the_docs_have_every_importer_and_only_options_that_there_are():
    for name, importer in IMPORTERS.items():
        assert f"| `{name}` |" in DOCS
        assert f"## {name}\n" in DOCS
        section = DOCS.split(f"## {name}\n")[1].split("\n## ")[0]
        commands = section.replace("\\\n", " ").splitlines()
        found = [command.split() for command in commands if command.strip().startswith("medfuse import")]
        assert found
        for command in found:
            assert command[2] == name
            given = [word.strip('"').split("=")[0] for before, word in pairwise(command) if before == "--option"]
            assert set(given) <= set(importer.options)
            assert {word for before, word in pairwise(command) if before == "--task"} <= set(importer.tasks)
