"""The pictures of `docs/dashboard.md`, taken of what `medfuse demo` leaves: no step of theirs may fail.

medfuse demo && MEDFUSE_DEMO=medfuse-demo MEDFUSE_SHOTS=docs pytest tests/real/test_pictures_chromium.py
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from medfuse.cohort import Cohort
from medfuse.inference import Predictor, write_predictions
from medfuse.review import Review, ReviewStore
from medfuse.review.study import Study, create_study
from tests.real.visit import CHROMIUM, SHOTS, Visit, serving

DEMO = Path(os.environ.get("MEDFUSE_DEMO", "medfuse-demo"))
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
    pytest.mark.skipif(not (DEMO / "fused").is_dir(), reason="no MEDFUSE_DEMO, the folder that `medfuse demo` makes"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's test cases with their predictions, some of which were decided on, and a study."""
    for name, held in (("cohort", "cohort"), ("fused", "bundle"), ("evaluation/fused", "evaluation")):
        shutil.copytree(DEMO / name, tmp_path / held)
    cohort = Cohort.load(tmp_path / "cohort")
    predictor = Predictor.load(tmp_path / "bundle")
    write_predictions(predictor.stream(cohort.in_split("test")), tmp_path / "predictions.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    store = ReviewStore(tmp_path / "reviews.sqlite", cohort=cohort.name, labels=cohort.labels, task=cohort.task)
    sure = [one for one in lines if not one["error"] and len(one["prediction_set"]) == 1]
    for number, one in enumerate(sure[:5]):
        said = one["prediction_set"][0]
        other = next(label for label in cohort.labels if label != said)
        review = Review(case_id=one["case_id"], reader="CD", action="accept", predicted=said)
        if number == 2:
            review = Review(
                case_id=one["case_id"], reader="EF", action="override", labels=(other,), predicted=said
            )  # fmt: skip
        store.add(review)
    cases = tuple(one["case_id"] for one in lines if "image" in one["modalities"] and "text" in one["modalities"])[-4:]
    create_study(store, Study(name="Second look", readers=("AB", "CD"), cases=cases, arbiter="EF"), actor="EF")
    return tmp_path


def test_the_pictures_of_the_guide(folder: Path, runner: object) -> None:
    with serving(folder) as port:
        visit = Visit(runner, port, width=1280, height=900)
        page = visit.page
        visit.open("/?reader=AB")
        page.get_by_role("table").last.wait_for()
        take(visit, folder / "dashboard-worklist.png")

        visit.open(f"/case?reader=AB&case={telling(folder)}")
        page.get_by_text("Show why", exact=True).click()
        page.get_by_text("What if it were not there?").wait_for()
        visit.settled()
        image = visit.viewer.locator("#scan-pane canvas")  # type: ignore[attr-defined]
        image.click()
        page.keyboard.press("o")
        page.mouse.move(640, 20)
        take(visit, folder / "dashboard.png")

        page.locator("label").filter(has_text="Scan: ").last.click()
        page.get_by_test_id("stMetric").last.get_by_text("points").wait_for()
        page.mouse.move(640, 20)
        page.get_by_role("heading", name="Notes").evaluate("one => one.scrollIntoView({block: 'start'})")
        take(visit, folder / "dashboard-why.png")

        visit.open("/case?reader=AB&study=Second%20look")
        page.get_by_text("The model’s answer is hidden in this study").wait_for()
        visit.seen()
        take(visit, folder / "dashboard-blinded.png")
        visit.close()


def telling(folder: Path) -> str:
    """A case with all its parts, of which the model is fairly sure and to which each part says something."""
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    whole = [one for one in map(json.loads, lines) if not one["error"] and len(one["modalities"]) == 3]
    fairly = [one for one in whole if 0.6 < max(one["probabilities"].values()) < 0.9]
    weakest = {one["case_id"]: min(map(abs, one["contributions"].values())) for one in fairly}
    return str(max(weakest, key=lambda case_id: weakest[case_id]))


def take(visit: Visit, path: Path) -> None:
    """A picture of at most 256 colours, which is a third of the size and shows no less."""
    visit.settled()
    visit.page.screenshot(path=str(path))
    if SHOTS:
        small = Image.open(path).convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        small.save(Path(SHOTS) / path.name, optimize=True)
