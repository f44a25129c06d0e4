from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.deidentify import deidentify
from medfuse.errors import CohortError
from medfuse.imaging import read_scan
from medfuse.splits import split_by_patient
from tests.deidentify.test_dicom import PLANTED, planted

NAMES = (*PLANTED, b"Ambrosius", b"ward_round_4", b"2021-03-04", b"Old Mill Lane")


def named_cohort(folder: Path) -> Cohort:
    """A cohort with names in headers, a picture's metadata, notes, cells, ids and file names."""
    (folder / "scans").mkdir(parents=True)
    (folder / "notes").mkdir()
    cases = []
    for number in range(8):
        dicom = folder / "scans" / f"quillfeather_{number}.dcm"
        dataset = planted(modality="US" if number == 3 else "CT")
        dataset.SOPInstanceUID = f"1.2.3.{number + 1}"
        dataset.save_as(dicom, enforce_file_format=True)
        picture = folder / "scans" / f"thornapple_{number}.png"
        note_in_png = PngInfo()
        note_in_png.add_text("Comment", "Zebulon Quillfeather")
        pixels = np.random.default_rng(number).integers(0, 255, (20, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(picture, pnginfo=note_in_png)
        note = folder / "notes" / f"zebulon{number}.txt"
        note.write_text(
            "HISTORY: Mr Quillfeather (ZEBULON, MRN778812), lives at 12 Old Mill Lane. Cough since 2021-03-04, "
            "referred by Dr Vandersloot. Ambrosius came along, patient: Thornapple, Zeb. Accession Acc991231.\n",
            encoding="utf-8",
        )
        cases.append(
            Case(
                f"Quillfeather-{number}",
                "Ambrosius-7" if number < 2 else f"Ambrosius-{number + 10}",
                time="2021-03-04",
                scans=(Scan(dicom.resolve()), Scan(picture.resolve())),
                notes=(Note(note.resolve()),),
                values={"age": 93.0, "ward": "bed of Quillfeather"},
                labels={"a": number % 2, "b": 1 - number % 2},
                groups={"site": "north"},
            )
        )
    kinds = {"age": "number", "ward": "category"}
    cohort = Cohort(folder, "named", "multiclass", ("a", "b"), tuple(cases), tabular=kinds, groups=("site",))
    cohort = cohort.in_splits(split_by_patient(cases, seed=0), by="patient", seed=0)
    cohort.save()
    return Cohort.load(folder)


def every_byte(folder: Path) -> bytes:
    names = b"\n".join(str(path.relative_to(folder)).encode() for path in folder.rglob("*"))
    return names + b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_planted_names_are_gone_from_every_byte_and_name(tmp_path: Path) -> None:
    cohort = named_cohort(tmp_path / "named")
    before = every_byte(cohort.folder).lower()
    assert all(name.lower() in before for name in PLANTED)
    done = deidentify(cohort.folder, tmp_path / "out", key=b"s" * 32)
    after = every_byte(tmp_path / "out").lower()
    for name in NAMES:
        assert name.lower() not in after, name
    assert done.left_out == ()
    assert every_byte(cohort.folder).lower() == before


def test_the_cohort_is_still_one(tmp_path: Path) -> None:
    cohort = named_cohort(tmp_path / "named")
    done = deidentify(cohort.folder, tmp_path / "out", key=b"s" * 32)
    made = Cohort.load(tmp_path / "out")
    assert made == done.cohort
    assert made.problems == ()
    assert [case.labels for case in made.cases] == [case.labels for case in cohort.cases]
    assert [case.split for case in made.cases] == [case.split for case in cohort.cases]
    patients = [case.patient_id for case in made.cases]
    assert len(set(patients)) == 7
    assert patients[0] == patients[1]
    assert {case.values["age"] for case in made.cases} == {90.0}
    assert made.cases[0].values["ward"] == "bed of [name]"
    assert made.cases[0].time == made.cases[1].time != made.cases[2].time
    for old, new in zip(cohort.cases, made.cases, strict=True):
        for one, other in zip(old.scans, new.scans, strict=True):
            assert np.allclose(read_scan(one.path).pixels, read_scan(other.path).pixels)
    assert "Cough since [date]" in made.cases[0].notes[0].path.read_text()
    again = deidentify(cohort.folder, tmp_path / "again", key=b"s" * 32)
    assert [case.patient_id for case in again.cohort.cases] == patients
    other = deidentify(cohort.folder, tmp_path / "other")
    assert not {case.patient_id for case in other.cohort.cases} & set(patients)


def test_the_report_says_what_was_done_and_what_cannot_be_promised(tmp_path: Path) -> None:
    done = deidentify(named_cohort(tmp_path / "named").folder, tmp_path / "out")
    report = (tmp_path / "out" / "DEIDENTIFICATION.md").read_text()
    assert "cannot promise" in report
    assert "PS3.15" in report
    assert any("ultrasound" in reason for reason in done.burned_in.values())
    assert all(name in report for name in done.burned_in)
    assert done.replaced["name"] > 8


def test_a_damaged_file_is_left_out_and_told_by_its_row(tmp_path: Path) -> None:
    cohort = named_cohort(tmp_path / "named")
    path = cohort.cases[2].scans[0].path
    path.write_bytes(path.read_bytes()[:300])
    cohort.cases[3].notes[0].path.write_bytes(b"%PDF-1.7 Quillfeather")
    done = deidentify(cohort.folder, tmp_path / "out")
    assert [line.split(":")[0] for line in done.left_out] == ["row 4, scan 1", "row 5, note 1"]
    assert b"quillfeather" not in every_byte(tmp_path / "out").lower()
    assert len(done.cohort.cases) == 8


@pytest.mark.parametrize("where", ["taken", "named/inside"])
def test_nothing_is_written_over_or_into_the_cohort(tmp_path: Path, where: str) -> None:
    cohort = named_cohort(tmp_path / "named")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").write_text("")
    with pytest.raises(CohortError):
        deidentify(cohort.folder, tmp_path / where)
    with pytest.raises(CohortError, match="cannot be kept"):
        deidentify(cohort.folder, tmp_path / "out", keep=["names"])


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from medfuse.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)


def test_the_verb_says_what_to_look_at(tmp_path: Path) -> None:
    cohort = named_cohort(tmp_path / "named")
    (tmp_path / "key").write_bytes(random.Random(0).randbytes(32))
    done = run("deidentify", cohort.folder, tmp_path / "out", "--key", tmp_path / "key", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cases"] == 8
    (tmp_path / "key").write_bytes(b"short")
    done = run("deidentify", cohort.folder, tmp_path / "other", "--key", tmp_path / "key")
    assert done.returncode == 2
    assert "16 bytes" in done.stderr


def test_no_verb_says_a_planted_name(tmp_path: Path) -> None:
    """Names in headers, notes and damaged files; nothing of them on the terminal, in a report or in a message."""
    source = tmp_path / "source"
    (source / "files").mkdir(parents=True)
    rows = ["image,note,diagnosis,patient_id,age"]
    for number in range(12):
        path = source / "files" / f"f{number}.dcm"
        planted().save_as(path, enforce_file_format=True)
        content = path.read_bytes()
        damage = number % 4
        if damage == 1:
            path.write_bytes(content[: len(content) - 300])
        elif damage == 2:  # a name where a number should be, and lengths that lie
            at = content.index(b"Quillfeather")
            path.write_bytes(content[: at - 2] + b"\xff\x7f" + content[at:])
        elif damage == 3:
            path.write_bytes(b"Quillfeather^Zebulon " * 40)
        note = "HISTORY: Zebulon Quillfeather has a cough and MRN778812. Seen by Vandersloot, with Thornapple."
        rows.append(f'files/f{number}.dcm,"{note}",{"ab"[number % 2]},p{number},old Quillfeather')
    (source / "cases.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    cohort = tmp_path / "cohort"
    said = []
    steps = (
        ("import", "table", source / "cases.csv", cohort, "--option", "image=image", "--option", "text=note"),
        ("split", cohort),
        ("audit", cohort, "--out", tmp_path / "audit", "--fix", tmp_path / "fixed"),
        ("audit", cohort, "--json"),
        ("audit", cohort, "--no-pixels"),
        ("deidentify", cohort, tmp_path / "clean"),
        ("--debug", "evaluate", tmp_path / "no-bundle", cohort, "--out", tmp_path / "e"),
        ("classify", tmp_path / "no-bundle", "--scan", source / "files" / "f2.dcm"),
        ("import", "image-folder", source, tmp_path / "folder"),
    )
    for step in steps:
        done = run(*step)
        said.append(done.stdout + done.stderr)
    assert (cohort / "cases.csv").exists()
    assert (tmp_path / "audit" / "audit.html").exists()
    assert (tmp_path / "clean" / "cohort.yaml").exists()
    said += [path.read_text("utf-8") for path in (tmp_path / "audit").iterdir()]
    said += [(tmp_path / "fixed" / "FIXED.md").read_text("utf-8")]
    told = "\n".join(said).lower()
    assert "cannot be" in told  # damage was met, and told
    for name in PLANTED:
        assert name.decode().lower() not in told, name


def test_reading_damaged_files_raises_no_planted_name(tmp_path: Path, capfd, caplog) -> None:
    """Every cut and some flips of one file: the message, its causes and what libraries log hold no name."""
    from medfuse.errors import ScanError

    content_of = tmp_path / "x.dcm"
    planted().save_as(content_of, enforce_file_format=True)
    content, rng, said = content_of.read_bytes(), random.Random(0), []
    for turn in range(150):
        damaged = bytearray(content[: rng.randrange(140, len(content))] if turn % 2 else content)
        for _ in range(turn % 5):
            damaged[rng.randrange(132, len(damaged))] = rng.randrange(256)
        content_of.write_bytes(bytes(damaged))
        try:
            said += list(replace(read_scan(content_of), pixels=None).receipt.warnings)
        except ScanError as error:
            said.append(str(error))
    captured = capfd.readouterr()
    told = "\n".join([*said, captured.out, captured.err, caplog.text]).lower()
    assert len(said) > 50
    for name in PLANTED:
        assert name.decode().lower() not in told, name
