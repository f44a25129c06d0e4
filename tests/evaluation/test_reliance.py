from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from medfuse.evaluation.alterations import Alteration
from medfuse.evaluation.intervals import bootstrap
from medfuse.evaluation.metrics import Scorer, auroc
from medfuse.evaluation.reliance import altered_areas, interplay, mean_shapley, verdicts

TWO = ("image", "text")


def _model(*, image=1.0, text=1.0, n=400, seed=0):
    """Logits that add up over two modalities; truth from both; probabilities for every pattern, binary multilabel."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n))
    truth = (rng.random(n) < 1 / (1 + np.exp(-2 * (x + y)))).astype(float)[:, None]

    def said(a, b):
        return 1 / (1 + np.exp(-2 * (image * a + text * b)))

    zero = np.zeros(n)
    every = np.stack([said(zero, zero), said(x, zero), said(zero, y), said(x, y)], axis=1)[:, :, None]
    order = rng.permutation(n)
    altered = {
        Alteration("shuffled", "image"): {i: said(x[order], y)[i, None, None] for i in range(n)},
        Alteration("shuffled", "text"): {i: said(x, y[order])[i, None, None] for i in range(n)},
        Alteration("section removed", "HISTORY"): {i: every[i, 1][None] for i in range(0, n, 2)},
    }
    patients = [f"p{i // 2}" for i in range(n)]
    return {"truth": truth, "every": every, "patients": patients, "modalities": TWO}, altered


def test_every_change_is_the_difference_of_two_aurocs_with_its_paired_interval():
    given, altered = _model()
    found = altered_areas(**given, altered=altered)
    json.dumps(found, allow_nan=False)
    assert list(found) == [
        "without image", "image alone", "without text", "text alone",
        "image shuffled", "text shuffled", "without section HISTORY",
    ]  # fmt: skip
    base, without = given["every"][:, 3], given["every"][:, 2]
    entry = found["without image"]
    assert entry["value"] == pytest.approx(auroc(given["truth"], without)[0])
    assert entry["change"]["value"] == pytest.approx(entry["value"] - auroc(given["truth"], base)[0])
    assert found["without section HISTORY"]["n_altered"] == 200
    scorers = [Scorer(truth=given["truth"], probability=p) for p in (without, base)]

    def gap(weight):
        return {"gap": scorers[0](weight)["auroc"] - scorers[1](weight)["auroc"]}

    drawn = bootstrap(gap, patients=given["patients"], draws=800)["gap"]
    width = (entry["change"]["high"] - entry["change"]["low"]) / 2 / 1.96
    assert width == pytest.approx(drawn.std(), rel=0.1)
    assert width < 0.8 * (entry["high"] - entry["low"]) / 2 / 1.96 * np.sqrt(2)  # paired, not as if of other cases


def test_a_model_that_ignores_its_image_is_named_and_one_that_uses_it_is_not():
    given, altered = _model(image=0.0)
    found = verdicts(altered_areas(**given, altered=altered), TWO)
    assert found["image"]["verdict"] == "ignored"
    assert "ignores the image" in found["image"]["sentence"]
    assert found["text"]["verdict"] == "used"
    given, altered = _model()
    assert {v["verdict"] for v in verdicts(altered_areas(**given, altered=altered), TWO).values()} == {"used"}


def test_a_model_that_the_image_misleads_and_cases_that_show_nothing():
    given, altered = _model(image=-0.6)
    assert verdicts(altered_areas(**given, altered=altered), TWO)["image"]["verdict"] == "harmful"
    given, altered = _model(image=0.3, n=20, seed=3)
    assert verdicts(altered_areas(**given, altered=altered), TWO)["image"]["verdict"] == "not shown"
    assert verdicts({}, TWO)["text"]["verdict"] == "not shown"


def test_one_class_alone_is_undefined_and_said():
    given, altered = _model(n=20)
    given["truth"][:] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = altered_areas(**given, altered=altered)
    json.dumps(found, allow_nan=False)
    assert found["image shuffled"]["value"] is None
    assert found["image shuffled"]["reason"]
    assert verdicts(found, TWO)["image"]["verdict"] == "not shown"


def test_shapley_values_add_up_to_what_the_evidence_moves():
    given, _ = _model()
    found = mean_shapley(**given)
    moved = (given["every"][:, 3] - given["every"][:, 0]) * (2 * given["truth"] - 1)
    assert sum(one["toward_truth"]["value"] for one in found.values()) == pytest.approx(moved.mean())
    assert sum(one["share"] for one in found.values()) == pytest.approx(1)
    assert found["image"]["toward_truth"]["low"] > 0
    ignored = mean_shapley(**_model(image=0.0)[0])
    assert ignored["image"]["share"] == 0
    assert ignored["image"]["toward_truth"]["value"] == 0


def test_interplay_counts_by_hand():
    truth = np.array([[1.0, 0], [1, 0], [0, 1], [1, 0], [np.nan, np.nan]])
    right, wrong = [0.9, 0.1], [0.1, 0.9]
    turned = [0.1, 0.9], [0.9, 0.1]
    every = np.array(
        [
            [right, wrong, wrong, right],  # fused alone is right
            [right, right, right, wrong],  # fused alone is wrong
            [turned[0], turned[0], turned[1], turned[0]],  # image and fused right
            [right, right, wrong, right],  # has the image only: not counted
            [right, right, right, right],  # unlabelled: not counted
        ]
    )
    present = [TWO, TWO, TWO, ("image",), TWO]
    given = {"truth": truth, "every": every, "modalities": TWO, "patients": list("abcde"), "present": present}
    found = interplay(**given, task="multiclass", thresholds=None)
    assert found["n"] == 3
    assert {k: v["value"] for k, v in found.items() if k != "n"} == {
        "fused_alone_right": pytest.approx(1 / 3),
        "fused_alone_wrong": pytest.approx(1 / 3),
        "fused_right": pytest.approx(2 / 3),
        "any_single_right": pytest.approx(2 / 3),
    }
    both = interplay(**given, task="multilabel", thresholds=np.full((5, 2), 0.5))
    assert both["n"] == 6  # a decision a label
    assert both["fused_right"]["value"] == pytest.approx(2 / 3)
    assert interplay(**(given | {"present": [("image",)] * 5}), task="multiclass", thresholds=None) == {"n": 0}
