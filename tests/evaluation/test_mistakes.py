from __future__ import annotations

import json

import numpy as np
import pytest

from medfuse.evaluation.mistakes import worst_cases

NAMES = ("a", "b", "c")


def test_multiclass_lists_what_was_true_and_what_was_said_worst_first():
    truth = np.eye(3)[[0, 1, 2, 0]]
    truth = np.vstack([truth, np.full(3, np.nan)])
    said = np.array([[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05], [0.2, 0.5, 0.3], [0.4, 0.3, 0.3]])
    found = worst_cases(truth=truth, probability=said, case_ids=list("vwxyz"), labels=NAMES, task="multiclass")
    json.dumps(found)
    assert [one["case_id"] for one in found] == ["x", "y", "w"]
    assert found[0]["loss"] == pytest.approx(-np.log(0.05))
    assert found[0]["wrong"] == [
        {"label": "c", "truth": 1, "probability": 0.05},
        {"label": "a", "truth": 0, "probability": 0.9},
    ]


def test_multilabel_takes_each_threshold_and_leaves_blanks_alone():
    truth = np.array([[1, 0, np.nan], [0, 1, 1]])
    said = np.array([[0.3, 0.2, 0.9], [0.3, 0.6, 0.4]])
    given = {"truth": truth, "probability": said, "case_ids": ["p", "q"], "labels": NAMES, "task": "multilabel"}
    at = np.array([[0.25, 0.5, 0.5], [0.25, np.nan, 0.4]])
    (only,) = worst_cases(**given, thresholds=at)
    assert (only["case_id"], [w["label"] for w in only["wrong"]]) == ("q", ["a"])
    assert only["loss"] == pytest.approx(-np.log(0.7))
    assert [one["case_id"] for one in worst_cases(**given)] == ["p", "q"]


def test_nothing_wrong_is_an_empty_list():
    assert (
        worst_cases(truth=np.eye(2), probability=np.eye(2), case_ids="ab", labels=("x", "y"), task="multiclass") == []
    )
