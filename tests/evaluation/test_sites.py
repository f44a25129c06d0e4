from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medfuse.bundle import Bundle
from medfuse.calibration import CALIBRATORS
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.evaluation import evaluate_cohorts
from medfuse.evaluation.delong import delong
from medfuse.evaluation.sites import area_gap, folder_of, recalibrated
from tests.calibration.drawn import drawn, softmax
from tests.conftest import make_tiny


def _ids(n, *, cases=1):
    return [f"p{i // cases}" for i in range(n)]


def _site(task="multiclass", n=400, seed=0):
    """Logits that are three times too large, and what an untouched model says of them."""
    logits, truth = drawn(task, n=n, seed=seed, classes=3)
    return 3 * logits, truth, softmax(3 * logits) if task == "multiclass" else 1 / (1 + np.exp(-3 * logits))


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_recalibration_mends_what_is_wrong_and_says_so(task):
    logits, truth, said = _site(task)
    found = recalibrated(said, (logits, truth, _ids(400, cases=2)), None, task=task, draws=100, seed=0)
    json.dumps(found, allow_nan=False)
    assert "cross-fitted" in found["how"]
    assert sum(found["calibrators"].values()) == 5
    assert found["change"]["log_loss"]["high"] < 0
    assert found["after"]["ece"]["value"] < found["before"]["ece"]["value"] / 2
    for label in found["labels"]:
        assert label["before"]["slope"]["high"] < 0.6
        assert label["after"]["slope"]["low"] < 1 < label["after"]["slope"]["high"]


def test_no_case_is_judged_by_a_calibrator_that_saw_it(monkeypatch):
    """The answer of a patient's cases changes nothing of what is said of them."""
    logits, truth, said = _site(n=120)
    patients = _ids(120, cases=3)
    tried = {name: CALIBRATORS[name] for name in ("temperature", "vector")}
    monkeypatch.setattr("medfuse.evaluation.sites.CALIBRATORS", tried)
    seen: list[np.ndarray] = []
    monkeypatch.setattr("medfuse.evaluation.sites.Measured", lambda t, said, *rest: seen.append(said) or _Nothing())
    monkeypatch.setattr("medfuse.evaluation.sites.bootstrap_differences", lambda *both: {})
    monkeypatch.setattr("medfuse.evaluation.sites.deal", lambda *args, **more: np.arange(120) // 24)
    recalibrated(said, (logits, truth, patients), None, task="multiclass", draws=0, seed=0)
    turned = truth.copy()
    turned[:3] = np.roll(turned[:3], 1, axis=1)
    recalibrated(said, (logits, turned, patients), None, task="multiclass", draws=0, seed=0)
    assert np.array_equal(seen[1][:24], seen[3][:24])
    assert not np.array_equal(seen[1][24:], seen[3][24:])


class _Nothing:
    def headline(self):
        return {}


def test_a_calibration_split_of_the_site_is_used_and_the_tested_cases_are_not():
    logits, truth, said = _site(n=150)
    given, labels, _ = _site(n=100, seed=1)
    calibrating = (given, labels, _ids(100))
    found = recalibrated(said, (logits, truth, _ids(150)), calibrating, task="multiclass", draws=0, seed=0)
    assert found["how"] == "fitted on the site's calibration split, 100 cases of 100 patients"
    assert sum(found["calibrators"].values()) == 1
    few = recalibrated(
        said, (logits, truth, _ids(150)), (given[:5], labels[:5], _ids(5)), task="multiclass", draws=0, seed=0
    )
    assert "cross-fitted" in few["how"]
    none = recalibrated(said[:6], (logits[:6], truth[:6], _ids(6)), None, task="multiclass", draws=0, seed=0)
    assert none == {"reason": "6 labelled patients; recalibration needs 10"}


def test_the_gap_between_sites_is_that_of_independent_areas():
    _, truth, said = _site("multilabel", n=200)
    _, other_truth, other_said = _site("multilabel", n=80, seed=3)
    one, other = (truth[:, :1], said[:, :1], _ids(200)), (other_truth[:, :1], other_said[:, :1], _ids(80))
    gap = area_gap(one, other)
    areas = [delong(t[:, 0], p[:, 0], patients=list(who)) for t, p, who in (one, other)]
    spread = math.sqrt(sum(float(area.covariance[0, 0]) for area in areas))
    assert gap["value"] == pytest.approx(float(areas[0].value[0] - areas[1].value[0]))
    assert (gap["high"] - gap["low"]) / (2 * 1.959964) == pytest.approx(spread, rel=0.02)
    absent = (np.zeros((80, 1)), other_said[:, :1], _ids(80))
    assert area_gap(one, absent)["reason"]


def test_cohorts_side_by_side(tiny_bundle: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    def other(name: str, seed: int) -> Cohort:
        made = make_tiny(tmp_path / f"{name} {seed}", seed=seed)
        cases = (replace(case, patient_id=f"{name}{seed}{case.patient_id}", split=None) for case in made.cases)
        return replace(made, cases=tuple(cases), name=name)

    bundle = Bundle.load(tiny_bundle)
    found = evaluate_cohorts(bundle, [tiny_cohort, other("ward", 1), other("ward", 2)], draws=20, cache=token_cache)
    assert list(found) == ["tiny", "ward (ward 1)", "ward (ward 2)"]
    beside = found["tiny"].metrics["cohorts"]
    json.dumps(beside, allow_nan=False)
    assert list(beside) == list(found)
    assert beside["tiny"]["gap"] is None
    assert beside["ward (ward 1)"]["gap"]["value"] is not None
    assert beside["ward (ward 1)"]["recalibration"]["after"]["n_cases"] == 48
    assert found["ward (ward 1)"].metrics["external"]
    assert not found["tiny"].metrics["external"]
    html = (found["tiny"].save(tmp_path / "out") / "report.html").read_text(encoding="utf-8")
    assert "Site by site" in html
    assert "ward (ward 2)" in html
    card = (tmp_path / "out" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card.startswith("# Model card: tiny")
    assert f"- AUROC: {beside['tiny']['auroc']['value']:.3f}" in card
    public = found["ward (ward 1)"].save(tmp_path / "public", public=True)
    assert {path.name for path in public.iterdir()} == {"metrics.json", "report.html", "MODEL_CARD.md", "figures"}
    assert not any(f">{case}<" in (public / "report.html").read_text(encoding="utf-8") for case in ("c0", "c1", "c2"))
    assert json.loads((public / "metrics.json").read_text(encoding="utf-8"))["errors"] == []
    with pytest.raises(CohortError, match="two cohorts are called tiny"):
        evaluate_cohorts(bundle, [tiny_cohort, tiny_cohort], draws=0, cache=token_cache)


def test_the_folder_of_a_cohort_stays_inside(tmp_path: Path) -> None:
    assert folder_of("../../etc: Ward 3", tmp_path) == tmp_path / "etc-ward-3"
    assert folder_of("…", tmp_path) == tmp_path / "cohort"
