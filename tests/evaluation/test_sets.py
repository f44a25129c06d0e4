from __future__ import annotations

import json

import numpy as np
import pytest

from medfuse.evaluation.sets import POINTS, abstention, alarms, coverage, found_at

NAMES = ("a", "b")
BOTH, NOTE = ("image", "text"), ("text",)


def _ids(n):
    return [str(i) for i in range(n)]


def test_coverage_by_hand_multiclass():
    truth = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [np.nan, np.nan]], dtype=float)
    inside = np.array([[1, 1], [0, 1], [0, 1], [1, 1], [1, 0]], dtype=bool)
    found = coverage(
        truth, inside, np.ones((5, 2), bool), inside.sum(1) != 1, present=[BOTH, BOTH, NOTE, NOTE, NOTE],
        patients=_ids(5), labels=NAMES, task="multiclass", nominal=0.9,
    )  # fmt: skip
    json.dumps(found, allow_nan=False)
    assert found["coverage"]["value"] == found["covered"] == 0.75
    assert found["coverage"]["low"] < 0.75 < found["coverage"]["high"]
    assert [found["by_label"][name]["value"] for name in NAMES] == [0.5, 1]
    assert found["by_pattern"]["image + text"]["value"] == 0.5
    assert found["by_pattern"]["text"] | {"low": 0, "high": 1} == {"n": 3, "value": 1, "low": 0, "high": 1}
    assert found["abstained"] == 0.4
    assert found["mean_set_size"] == 1.4


def test_coverage_of_a_multilabel_task_counts_every_known_answer():
    truth = np.array([[1, 0], [0, np.nan]], dtype=float)
    inside = np.array([[1, 1], [1, 0]], dtype=bool)
    absent = np.array([[0, 0], [1, 1]], dtype=bool)
    found = coverage(
        truth, inside, absent, np.zeros(2, bool), present=[BOTH, NOTE], patients=_ids(2), labels=NAMES,
        task="multilabel", nominal=0.9,
    )  # fmt: skip
    assert found["coverage"]["value"] == pytest.approx(2 / 3)  # the absence of b was excluded wrongly
    assert found["by_label"]["b"]["value"] is None
    assert found["by_label"]["b"]["reason"]


def test_sensitivity_where_a_threshold_is_known():
    truth = np.array([[1, 1], [1, 0], [0, 1], [np.nan, 0]], dtype=float)
    probability = np.array([[0.6, 0.9], [0.2, 0.1], [0.7, 0.3], [0.9, 0.2]])
    thresholds = np.array([[0.5, np.nan]] * 4)
    found = found_at(truth, probability, thresholds, patients=_ids(4), labels=NAMES, stated=0.9, confidence=0.8)
    json.dumps(found, allow_nan=False)
    assert found["labels"]["a"]["threshold"] == 0.5
    assert found["labels"]["a"]["sensitivity"]["value"] == 0.5
    assert found["labels"]["a"]["specificity"]["value"] == 0
    assert found["labels"]["b"]["n_without_threshold"] == 4
    assert found["labels"]["b"]["sensitivity"]["value"] is None


def test_alarms_have_an_interval_over_patients():
    flagged = np.arange(200) % 20 == 0
    alone = alarms(flagged, patients=_ids(200), nominal=0.05, own=True)
    assert alone["flagged"]["value"] == 0.05
    alike = alarms(np.repeat(flagged, 3), patients=np.repeat(_ids(200), 3).tolist(), nominal=0.05, own=True)
    assert alike["flagged"]["low"] == pytest.approx(alone["flagged"]["low"], rel=0.05)


def test_abstention_is_thinned_and_warns():
    rng = np.random.default_rng(0)
    rare = rng.random(3000) < 0.2
    sure = rng.random(3000)
    correct = np.where(rare, rng.random(3000) < 0.9 - 0.8 * sure, rng.random(3000) < 0.6 + 0.39 * sure)
    top = np.where(correct, rare, ~rare).astype(int)
    p = np.empty((3000, 2))
    p[np.arange(3000), top], p[np.arange(3000), 1 - top] = 0.5 + sure / 2, 0.5 - sure / 2
    truth = np.eye(2)[rare.astype(int)]
    found = abstention(truth, p, patients=_ids(3000), labels=("common", "rare"), task="multiclass")
    json.dumps(found, allow_nan=False)
    assert len(found["curve"]) <= POINTS
    assert found["curve"][-1] == {"coverage": 1, "risk": pytest.approx(1 - correct.mean())}
    assert "rare" in found["warnings"][0]
    assert abstention(np.full((3, 2), np.nan), p[:3], patients=_ids(3), labels=NAMES, task="multiclass") == {}
