from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from medfuse.case import Case, Prediction
from medfuse.errors import CohortError
from medfuse.evaluation import Evaluation
from medfuse.evaluation.compare import compare, write_comparison
from medfuse.evaluation.summary import summarise

LABELS = ("a", "b", "c")


def _evaluation(folder, *, strength, task="multiclass", n=60, failed=(), labels=LABELS, seed=0):
    rng = np.random.default_rng(seed)
    answer = np.arange(n) % 3
    logits = rng.normal(size=(n, 3)) + strength * np.eye(3)[answer]
    said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = np.eye(3)[answer]
    cases, predictions = [], []
    for i in range(n):
        known = {label: int(t) for label, t in zip(labels, truth[i], strict=True)}
        known |= dict.fromkeys(labels) if i == 0 else {}
        cases.append(Case(case_id=f"c{i}", patient_id=f"person {i // 2}", labels=known))
        values = {label: float(p) for label, p in zip(labels, said[i], strict=True)}
        bad = i in failed
        predictions.append(Prediction(f"c{i}", {} if bad else values, error="damaged" if bad else None))
    truth[0] = np.nan
    patients = [case.patient_id for case in cases]
    metrics = summarise(truth=truth, probability=said, patients=patients, labels=labels, task=task, draws=20)
    thresholds = [np.array([0.4, 0.4, np.nan])] * n
    return Evaluation(metrics, predictions, cases=cases, thresholds=thresholds).save(folder)


def test_the_better_model_is_found_and_written(tmp_path):
    folders = [_evaluation(tmp_path / f"m{s}", strength=s, seed=s) for s in (3, 1, 0)]
    found = compare(folders, draws=300)
    assert (found["n_cases"], found["n_patients"], found["n_left_out"]) == (59, 30, 0)
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [("m3", "m1"), ("m3", "m0"), ("m1", "m0")]
    first = found["pairs"][1]
    assert first["delong"]["value"] > 0
    assert first["delong"]["p_holm"] < 0.05
    assert first["delong"]["p_holm"] >= first["delong"]["p"]
    assert first["bootstrap"]["log_loss"]["high"] < 0
    assert first["mcnemar"]["only_first"] > first["mcnemar"]["only_second"]
    written = write_comparison(found, tmp_path / "out")
    assert json.loads((written / "comparison.json").read_text()) == found
    page = (written / "comparison.html").read_text()
    assert "m3 less m1" in page
    assert "<script" not in page
    assert sorted(p.name for p in written.iterdir()) == ["comparison.html", "comparison.json"]


def test_patients_are_kept_as_digests(tmp_path):
    folder = _evaluation(tmp_path / "m", strength=1)
    assert "person" not in (folder / "cases.csv").read_text()


def test_a_case_that_one_cannot_classify_is_left_out_for_both(tmp_path):
    folders = [_evaluation(tmp_path / "x", strength=1), _evaluation(tmp_path / "y", strength=1, failed=(3, 4))]
    found = compare(folders, draws=20)
    assert (found["n_cases"], found["n_left_out"]) == (57, 2)
    assert found["pairs"][0]["delong"]["value"] == pytest.approx(0, abs=1e-12)


def test_multilabel_decisions_are_those_at_the_thresholds(tmp_path):
    folders = [_evaluation(tmp_path / f"m{s}", strength=s, task="multilabel", seed=s) for s in (3, 0)]
    found = compare(folders, draws=50)
    test = found["pairs"][0]["mcnemar"]
    assert test["only_first"] + test["only_second"] > 59 / 3


def test_other_cases_are_refused(tmp_path):
    one = _evaluation(tmp_path / "one", strength=1)
    for name, changes, message in (
        ("fewer", {"n": 57}, "3 cases are in one of them only"),
        ("labels", {"labels": ("a", "b", "d")}, "labels a, b, d"),
        ("task", {"task": "multilabel"}, "a multilabel task"),
    ):
        with pytest.raises(CohortError, match=message):
            compare([one, _evaluation(tmp_path / name, strength=1, **changes)])
    changed = shutil.copytree(one, tmp_path / "changed")
    text = (changed / "cases.csv").read_text().replace("c1,", "c1,x", 1)
    (changed / "cases.csv").write_text(text)
    with pytest.raises(CohortError, match="other labels or patients"):
        compare([one, changed])
    with pytest.raises(CohortError, match="two evaluations"):
        compare([one])


def test_a_folder_without_an_evaluation_is_named(tmp_path):
    one = _evaluation(tmp_path / "one", strength=1)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match=r"empty: no evaluation that can be compared"):
        compare([one, tmp_path / "empty"])
