from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from medfuse.evaluation.metrics import METRICS, auroc, categorical_log_loss
from medfuse.evaluation.summary import headline, summarise

LABELS = ("infection", "failure", "collapse")


@pytest.fixture(autouse=True)
def _no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def _multiclass(n=120, unlabelled=6):
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([0.7] * 3, size=n)
    truth = np.array([rng.multinomial(1, row) for row in probability], dtype=float)
    truth[:unlabelled] = np.nan
    return truth, probability, [f"p{i // 2}" for i in range(n)]


def _summary(task="multiclass", draws=200, **changes):
    truth, probability, patients = _multiclass()
    given = {"truth": truth, "probability": probability, "patients": patients, "labels": LABELS}
    return summarise(**(given | changes), task=task, draws=draws)


def test_multiclass_content_and_order():
    truth, probability, _ = _multiclass()
    metrics = _summary(best={"image": np.full_like(probability, 1 / 3), "all": probability})
    json.dumps(metrics, allow_nan=False)
    assert next(iter(metrics)) == "summary"
    summary = metrics["summary"]
    assert list(summary)[:5] == list(METRICS)
    for name in METRICS:
        assert list(summary[name]) == ["value", "low", "high"]
        assert summary[name]["low"] <= summary[name]["value"] <= summary[name]["high"]
        assert summary[name]["low"] < summary[name]["high"]
    assert (summary["n_cases"], summary["n_patients"], summary["n_unlabelled"]) == (114, 57, 6)
    assert summary["best_reachable_auroc"] == {"image": 0.5, "all": summary["auroc"]["value"]}
    assert summary["auroc"]["value"] == pytest.approx(auroc(truth, probability).mean())
    assert summary["log_loss"]["value"] == pytest.approx(categorical_log_loss(truth, probability))
    for name in ("auroc", "auprc", "brier", "ece"):
        mean = np.mean([metrics["labels"][label][name]["value"] for label in LABELS])
        assert summary[name]["value"] == pytest.approx(mean)
    infection = metrics["labels"]["infection"]
    assert infection["n_positive"] + infection["n_negative"] == infection["n"] == 114
    assert infection["prevalence"] == pytest.approx(np.nanmean(truth[:, 0]))


def test_same_seed_same_figures():
    assert _summary() == _summary()


def test_confusion_counts_truth_by_row_and_prediction_by_column():
    truth = np.eye(3)[[0, 0, 1, 2]]
    probability = np.eye(3)[[0, 1, 1, 0]] * 0.6 + 0.4 / 3
    metrics = _summary(truth=truth, probability=probability, patients=list("abcd"), draws=20)
    assert metrics["confusion"]["counts"] == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert metrics["confusion"]["labels"] == list(LABELS)


def test_multilabel_confusion_and_blanks():
    truth = np.array([[1, np.nan, 0], [0, 1, 0], [1, 0, np.nan], [np.nan] * 3, [0, 1, 0]], dtype=float)
    probability = np.array([[0.7, 0.2, 0.1], [0.5, 0.9, 0.2], [0.2, 0.6, 0.3], [0.5] * 3, [0.1, 0.2, 0.6]])
    metrics = _summary("multilabel", truth=truth, probability=probability, patients=list("abcde"), draws=100)
    json.dumps(metrics, allow_nan=False)
    assert metrics["confusion"]["by_label"] == {
        "infection": [[1, 1], [1, 1]],  # a probability of exactly 0.5 counts as predicted
        "failure": [[0, 1], [1, 1]],
        "collapse": [[2, 1], [0, 0]],
    }
    collapse = metrics["labels"]["collapse"]
    assert collapse["auroc"] == {"value": None, "low": None, "high": None, "reason": "no case with this label"}
    assert collapse["brier"]["value"] is not None
    assert (collapse["n"], collapse["n_positive"], collapse["prevalence"]) == (3, 0, 0.0)
    summary = metrics["summary"]
    assert summary["labels_without_auroc"] == ["collapse"]
    defined = [metrics["labels"][label]["auroc"]["value"] for label in ("infection", "failure")]
    assert summary["auroc"]["value"] == pytest.approx(np.mean(defined))
    assert summary["auroc"]["draws_left_out"] > 0  # four patients: many a draw lacks a class
    assert summary["n_unlabelled"] == 1
    losses = [metrics["labels"][label]["log_loss"]["value"] for label in LABELS]
    assert summary["log_loss"]["value"] == pytest.approx(np.mean(losses))


def test_reliability_adds_up_and_its_gaps_are_the_ece():
    metrics = _summary()
    for label in LABELS:
        points = metrics["reliability"][label]
        n = sum(point["n"] for point in points)
        assert n == metrics["labels"][label]["n"]
        gap = sum(point["n"] * abs(point["observed"] - point["mean_predicted"]) for point in points) / n
        assert gap == pytest.approx(metrics["labels"][label]["ece"]["value"])
        assert all(point["low"] <= point["observed"] <= point["high"] for point in points)


def test_a_calibrated_model_is_told_from_one_that_is_too_sure():
    truth, probability, _ = _multiclass(n=600, unlabelled=0)
    sharp = probability**3 / (probability**3).sum(axis=1, keepdims=True)
    patients = [str(i) for i in range(600)]
    honest = headline(truth=truth, probability=probability, patients=patients, task="multiclass", draws=50)
    boastful = headline(truth=truth, probability=sharp, patients=patients, task="multiclass", draws=50)
    assert honest["ece"]["value"] <= honest["ece_if_calibrated"]["high"]
    assert boastful["ece"]["value"] > boastful["ece_if_calibrated"]["high"]


def test_headline_is_the_summary_of_the_same_cases():
    truth, probability, patients = _multiclass()
    alone = headline(truth=truth, probability=probability, patients=patients, task="multiclass", draws=200)
    assert alone.items() <= _summary()["summary"].items()


def test_nothing_labelled_is_said_and_not_guessed():
    metrics = _summary(truth=np.full((120, 3), np.nan), best={"all": np.full((120, 3), 1 / 3)})
    json.dumps(metrics, allow_nan=False)
    summary = metrics["summary"]
    assert all(summary[name]["value"] is None and summary[name]["reason"] == "no labelled case" for name in METRICS)
    assert (summary["n_cases"], summary["n_unlabelled"]) == (0, 120)
    assert summary["best_reachable_auroc"] == {"all": None}
    assert metrics["reliability"]["collapse"] == []


def test_one_patient_has_values_but_no_interval():
    metrics = _summary(patients=["same"] * 120)
    area = metrics["summary"]["auroc"]
    assert area["value"] is not None
    assert (area["low"], area["high"], area["reason"]) == (None, None, "one patient gives no interval")


def test_no_draws_no_intervals():
    assert _summary(draws=0)["summary"]["ece"]["reason"] == "no draws were asked for"


def test_a_truth_unknown_for_some_case_gives_no_best():
    posterior = np.full((120, 3), 1 / 3)
    posterior[50] = np.nan
    assert _summary(best={"text": posterior})["summary"]["best_reachable_auroc"] == {"text": None}


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="120 cases with 2 labels"):
        _summary(labels=LABELS[:2])


def test_label_details_agree_with_the_headline():
    truth, probability, _ = _multiclass()
    metrics = _summary(thresholds=np.full((120, 3), [0.4, 0.5, np.nan]))
    json.dumps(metrics, allow_nan=False)
    for label in LABELS:
        figures, detail = metrics["labels"][label], metrics["calibration"][label]
        assert detail["ece_equal_mass"] == pytest.approx(figures["ece"]["value"])
        parts = detail["brier_parts"]
        whole = parts["reliability"] - parts["resolution"] + parts["uncertainty"]
        assert whole + parts["within_variance"] - parts["within_covariance"] == pytest.approx(figures["brier"]["value"])
        assert figures["auroc_delong"]["low"] == pytest.approx(figures["auroc"]["low"], abs=0.05)
        assert detail["slope"]["low"] < 1 < detail["slope"]["high"]  # labels were drawn from the probabilities
        assert len(metrics["decision_curves"][label]) == 49
    assert metrics["operating"]["infection"]["threshold"] == 0.4
    known = truth[6:, 0] == 1
    assert metrics["operating"]["infection"]["sensitivity"]["value"] == np.mean(probability[6:, 0][known] >= 0.4)
    assert metrics["operating"]["collapse"]["n_without_threshold"] == 114
    assert metrics["operating"]["collapse"]["sensitivity"]["value"] is None
    assert "operating" not in _summary()


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_bad_input_gives_stated_results(task):
    truth, probability, _ = _multiclass()
    one_absent = truth.copy()
    one_absent[one_absent[:, 2] == 1] = [1, 0, 0]
    few = {"truth": truth[-1:], "probability": probability[-1:], "patients": ["p"]}
    cases = {
        "one class absent": {"truth": one_absent},
        "one case": few,
        "all labels blank": {"truth": np.full_like(truth, np.nan)},
        "constant": {"probability": np.full_like(probability, 1 / 3)},
        "certain": {"probability": np.nan_to_num(truth, nan=0.5)},
    }
    for name, changes in cases.items():
        changes["thresholds"] = np.full(changes.get("truth", truth).shape, 0.5)
        metrics = _summary(task, draws=40, **changes)
        json.dumps(metrics, allow_nan=False)
        for metric in METRICS:
            figures = [metrics["summary"][metric], *(metrics["labels"][label][metric] for label in LABELS)]
            assert all(figure["low"] is not None or figure["reason"] for figure in figures), (name, metric)
        area = metrics["summary"]["auroc"]
        if name == "constant":
            assert area["value"] == 0.5
            assert area["low"] is None
            assert "alike" in area["reason"]
        if name in ("one case", "all labels blank"):
            assert area["value"] is None
            assert area["reason"]
    with pytest.raises(ValueError, match="not a number"):
        _summary(task, probability=np.full_like(probability, np.nan))
