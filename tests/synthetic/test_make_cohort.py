"""`make_cohort`: the same seed gives the same folder, and sample_data is what the generator makes."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from medfuse import synthetic
from medfuse.case import MODALITIES
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.resources import shipped
from medfuse.synthetic import make_cohort
from medfuse.synthetic.phantom import Drawn

SAMPLE_CASES, SAMPLE_SEED = 48, 7  # as in sample_data/README.md


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("sixty")
    make_cohort(folder, cases=60, seed=3)
    return Cohort.load(folder)


def test_a_cohort_that_loads_without_a_complaint(sixty: Cohort) -> None:
    assert sixty.problems == ()
    assert len(sixty.cases) == 60
    assert len({case.patient_id for case in sixty.cases}) == 50
    assert set(sixty.urgency) == set(sixty.labels)
    assert all(case.split is None and case.labelled for case in sixty.cases)
    assert all(path.path.exists() for case in sixty.cases for path in (*case.scans, *case.notes))
    assert {case.split for case in sixty.with_splits(1).cases} == {"train", "validation", "calibration", "test"}


def test_a_patient_keeps_sex_and_age_and_never_has_more_than_two_cases(sixty: Cohort) -> None:
    visits: dict[str, list] = {}
    for case in sixty.cases:
        visits.setdefault(case.patient_id, []).append(case)
    assert Counter(map(len, visits.values())) == {1: 40, 2: 10}
    for cases in visits.values():
        for column in ("sex", "age"):
            assert len({case.values[column] for case in cases} - {None}) <= 1
        assert len({case.time for case in cases}) == len(cases)


def test_every_kind_of_dicom_is_there(sixty: Cohort) -> None:
    read = [pydicom.dcmread(scan.path) for case in sixty.cases for scan in case.scans]
    assert {one.PhotometricInterpretation for one in read} == {"MONOCHROME1", "MONOCHROME2"}
    assert {one.Modality for one in read} == {"CR", "DX"}
    assert len({one.BitsStored for one in read}) >= 4
    assert len({one.file_meta.TransferSyntaxUID for one in read}) >= 5
    assert {one.ViewPosition for one in read} == {"PA", "AP"}
    assert len({one.SOPInstanceUID for one in read}) == len(read)
    assert all(one.pixel_array.std() > 0 for one in read)
    assert len({one.pixel_array.shape for one in read}) > 10


def test_truth_is_the_posterior_of_what_is_there(sixty: Cohort) -> None:
    truth = sixty.truth()
    assert truth is not None
    assert set(truth) == {*MODALITIES, "all"}
    prior = synthetic.posterior({})
    for case in sixty.cases:
        for evidence in truth:
            assert sum(truth[evidence][case.case_id]) == pytest.approx(1, abs=1e-7)
        tabular = synthetic.posterior(case.values, ("tabular",))
        np.testing.assert_allclose(truth["tabular"][case.case_id], tabular, atol=1e-8)
        if not case.scans:
            np.testing.assert_allclose(truth["image"][case.case_id], prior, atol=1e-8)
        # Naive Bayes: the parts' posteriors multiply, with the prior counted once.
        parts = [np.array(truth[modality][case.case_id]) / prior for modality in MODALITIES]
        product = prior * np.prod(parts, axis=0)
        np.testing.assert_allclose(truth["all"][case.case_id], product / product.sum(), atol=1e-5)


def test_some_parts_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blank(*_: object, rows: int, columns: int, **__: object) -> Drawn:
        return Drawn(np.eye(rows, columns, dtype=np.float32), np.zeros((rows, columns), dtype=bool))

    monkeypatch.setattr("medfuse.synthetic.phantom.render", blank)
    cohort = make_cohort(tmp_path / "c", cases=600, seed=1)
    assert 0.02 < np.mean([not case.notes for case in cohort.cases]) < 0.09
    assert 0.01 < np.mean([not case.scans for case in cohort.cases]) < 0.06
    assert all(case.scans or case.notes for case in cohort.cases)
    assert 0.07 < np.mean([value is None for case in cohort.cases for value in case.values.values()]) < 0.13
    best = best_reachable(cohort)
    assert best["all"] >= max(best["image"], best["text"]) + 0.10


def best_reachable(cohort: Cohort) -> dict[str, float]:
    """Macro one-against-rest AUROC of the true posterior, by evidence."""
    truth = cohort.truth()
    assert truth is not None
    labels = np.array([[case.labels[label] for label in cohort.labels] for case in cohort.cases])
    return {
        evidence: roc_auc_score(labels, np.array([rows[case.case_id] for case in cohort.cases]), average="macro")
        for evidence, rows in truth.items()
    }


def test_same_seed_same_bytes_whatever_the_number_of_cases_and_processes(tmp_path: Path) -> None:
    ticks: list[int] = []
    make_cohort(tmp_path / "a", cases=9, seed=5, progress=ticks.append)
    make_cohort(tmp_path / "b", cases=9, seed=5, workers=2)
    make_cohort(tmp_path / "c", cases=4, seed=5)
    make_cohort(tmp_path / "d", cases=4, seed=6)
    a, b, c, d = (contents(tmp_path / name) for name in "abcd")
    assert ticks == [1] * 9
    assert a == b
    assert all(a[name] == c[name] for name in c if name.startswith(("scans/", "notes/")))
    assert a["cases.csv"].startswith(c["cases.csv"])
    assert a["truth.csv"].startswith(c["truth.csv"])
    assert all(d[name] != c[name] for name in d if name.startswith("scans/") and name in c)


@pytest.mark.parametrize(("cases", "seed", "said"), [(0, 1, "0 cases"), (1, -1, "seed -1")])
def test_senseless_numbers_are_refused(cases: int, seed: int, said: str, tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=said):
        make_cohort(tmp_path / "c", cases=cases, seed=seed)


def test_a_second_run_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    make_cohort(tmp_path / "a", cases=5, seed=1)
    make_cohort(tmp_path / "a", cases=3, seed=2)
    make_cohort(tmp_path / "b", cases=3, seed=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(CohortError, match="other files"):
        make_cohort(tmp_path, cases=1, seed=1)
    with pytest.raises(CohortError, match="is a file"):
        make_cohort(tmp_path / "thesis.txt", cases=1, seed=1)


def test_sample_data_is_small_and_what_the_generator_makes(tmp_path: Path) -> None:
    sample = shipped("sample_data")
    assert sum(len(data) for data in contents(sample).values()) <= 6_000_000
    made = make_cohort(tmp_path / "c", cases=6, seed=SAMPLE_SEED)
    for name, data in contents(made.folder).items():
        committed = (sample / name).read_bytes()
        if name.endswith(".csv"):
            assert committed.startswith(data)
        elif name.endswith(".dcm"):
            same_image(committed_path=sample / name, made_path=made.folder / name)
        else:
            assert committed == data
    cohort = Cohort.load(sample)
    assert len(cohort.cases) == SAMPLE_CASES
    assert cohort.problems == ()
    assert f"--cases {SAMPLE_CASES} --seed {SAMPLE_SEED}" in (sample / "README.md").read_text(encoding="utf-8")


def same_image(*, committed_path: Path, made_path: Path) -> None:
    """The same but for the last bit of a few pixels, which may differ between processors and versions of NumPy."""
    committed, made = pydicom.dcmread(committed_path), pydicom.dcmread(made_path)
    difference = np.abs(committed.pixel_array.astype(int) - made.pixel_array.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3
    if not difference.any() and not made.file_meta.TransferSyntaxUID.is_compressed:
        assert committed_path.read_bytes() == made_path.read_bytes()
    del committed.PixelData, made.PixelData
    assert committed == made
    assert committed.file_meta == made.file_meta or made.file_meta.TransferSyntaxUID.is_compressed


def test_best_reachable_figures_of_the_data_card() -> None:
    sample = shipped("sample_data")
    cohort = Cohort.load(sample)
    with (sample / "truth.csv").open(newline="", encoding="utf-8") as stream:
        assert next(csv.reader(stream)) == ["case_id", "evidence", *cohort.labels]
    card = (sample / "README.md").read_text(encoding="utf-8")
    for evidence, auroc in best_reachable(cohort).items():
        assert f"| {evidence} | {auroc:.3f} |" in card


def test_masks_lie_beside_the_same_cohort_where_there_is_an_opacity(tmp_path: Path) -> None:
    plain = make_cohort(tmp_path / "plain", cases=9, seed=5)
    masked = make_cohort(tmp_path / "masked", cases=9, seed=5, masks=True)
    for case in plain.cases:
        for scan in case.scans:
            assert (plain.folder / scan.path).read_bytes() == (masked.folder / scan.path).read_bytes()
            mask = np.asarray(Image.open(masked.folder / "masks" / f"{scan.path.stem}.png"))
            assert mask.shape == pydicom.dcmread(plain.folder / scan.path).pixel_array.shape
            assert mask.mean() / 255 < 0.3
    assert not (plain.folder / "masks").exists()
    areas = [np.asarray(Image.open(path)).any() for path in sorted((masked.folder / "masks").iterdir())]
    assert any(areas)
    assert not all(areas)
