"""The whole way of a reader with the model at hand, in a real browser; scripts are planted wherever data hold text."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from medfuse.case import Note, Scan
from medfuse.cohort import Cohort
from medfuse.inference import Predictor, write_predictions
from medfuse.review import ReviewStore
from tests.real.visit import CHROMIUM, SCRIPT, Visit, phantom, serving
from tests.review.test_levels import made

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]
EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def planted(
    tiny_cohort: Cohort, tiny_bundle: Path, token_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny cohort, predicted; its first case has scripts in PatientName, both file names and the note."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(tiny_cohort.folder, folder / "cohort")
    shutil.copytree(tiny_bundle, folder / "bundle")
    cohort = Cohort.load(folder / "cohort")
    root = folder / "cohort"
    scan = root / "scans" / f"{EVIL}.dcm"
    made(scan, phantom(0), PatientName=SCRIPT, PatientID=EVIL)
    note = root / "notes" / f"{EVIL} ![x](evil).txt"
    note.write_text(f"HISTORY: fever and cough {SCRIPT}\nINDICATION: :red[pain] [link](javascript:alert(1)).\n")
    first = replace(cohort.cases[0], scans=(Scan(scan),), notes=(Note(note),))
    planted = replace(cohort, cases=(first, *cohort.cases[1:]))
    planted.save()
    predictor = Predictor.load(folder / "bundle", cache=token_cache)
    write_predictions(predictor.stream(Cohort.load(root).cases), folder / "predictions.jsonl")
    (folder.parent / "outside.txt").write_text("root: of nobody's business")
    return folder


def test_the_whole_way_of_a_reader(planted: Path, runner: object, tmp_path: Path) -> None:
    with serving(planted) as port:
        visit = Visit(runner, port)
        page = visit.page
        for asked in ("../outside.txt", "%2Fetc%2Fpasswd", "..%2F..%2Foutside.txt", "file:///etc/passwd"):
            visit.open(f"/case?case={asked}")  # a path is no case: the first of the list is shown
            visit.settled()
            assert "root:" not in page.content()
            assert "case=" not in page.url

        visit.open("/?reader=AB")
        page.get_by_placeholder("Search by case id").fill("c0")
        page.get_by_placeholder("Search by case id").press("Enter")
        page.get_by_text("1 of 48 cases.").wait_for()
        page.get_by_role("heading", name="Worklist").click()  # out of the field, where letters are text
        page.keyboard.press("o")  # the next case
        page.get_by_role("heading", name="c0", exact=True).wait_for()
        notes = page.frame_locator("iframe[title*=medfuse_viewer]").last
        notes.get_by_text(SCRIPT).wait_for()

        image = visit.viewer.locator("#scan-pane canvas")  # type: ignore[attr-defined]
        image.scroll_into_view_if_needed()
        image.click()
        page.keyboard.press("[")
        narrowed = visit.seen()
        page.get_by_text("Show why", exact=True).click()
        page.get_by_text("What if it were not there?").wait_for()
        visit.settled()
        image.click()
        assert visit.seen()["overlay"] == "-1"
        page.keyboard.press("o")
        assert visit.seen()["overlay"] == "0"
        assert visit.seen()["upper"] == narrowed["upper"]  # the window stays
        visit.shot(tmp_path / "overlay.png")
        metric = page.get_by_test_id("stMetric").last
        assert "with all that is there" in metric.inner_text()
        page.locator("label").filter(has_text="Scan: ").last.click()
        metric.get_by_text("points").wait_for()
        visit.shot(tmp_path / "whatif.png")

        page.get_by_label("Comment", exact=True).fill(f"=1+1 {SCRIPT}")
        visit.decide("Override", "dry")
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("Your last decision was taken back").wait_for()
        page.get_by_label("Comment", exact=True).fill(f"=1+1 {SCRIPT}")
        visit.decide("Override", "dry")
        visit.open("/?reader=CD")
        visit.open("/case?reader=CD&case=c0")
        page.get_by_text(f"=1+1 {SCRIPT}").first.wait_for()  # another reader sees it, letter by letter

        visit.open("/studies?reader=CD")
        with page.expect_download() as given:
            page.get_by_role("button", name="Export all decisions").click()
        given.value.save_as(tmp_path / "reviews.csv")
        visit.settled()
        for path in ("/upload", "/model", "/log", "/evaluation"):
            visit.open(path)
            visit.settled()
        visit.close()
    rows = list(csv.DictReader((tmp_path / "reviews.csv").open(encoding="utf-8-sig")))
    assert [row["action"] for row in rows] == ["override", "undo", "override"]
    assert rows[0]["comment"] == f"'=1+1 {SCRIPT}"  # no formula in a spreadsheet
    store = ReviewStore(planted / "reviews.sqlite", cohort="tiny")
    assert [one.action for one in store.history("c0")] == ["override", "undo", "override"]
