from __future__ import annotations

import json

import numpy as np
import pytest

from medfuse.bundle import Bundle
from medfuse.evaluation import stress as module
from medfuse.evaluation.changes import SCAN_CHANGES, SECTIONS, TEXT_CHANGES
from medfuse.evaluation.stress import stress


@pytest.fixture(scope="module")
def held(tiny_bundle, tiny_cohort):
    bundle = Bundle.load(tiny_bundle)
    cases = list(tiny_cohort.in_split("test", "calibration"))
    truth = np.array([[float(case.labels[label]) for label in bundle.labels] for case in cases])
    return bundle, cases, truth


def test_every_change_has_a_curve_from_the_same_start(held, monkeypatch):
    monkeypatch.setattr(module, "STRENGTHS", (1.0,))
    bundle, cases, truth = held
    done = []
    found = stress(bundle, cases, truth=truth, progress=done.append)
    json.dumps(found, allow_nan=False)
    assert set(found) == {*SCAN_CHANGES, *TEXT_CHANGES, SECTIONS}
    assert len({curve[0]["brier"] for curve in found.values()}) == 1
    for curve in found.values():
        assert [point["strength"] for point in curve] == [0.0, 1.0]
        assert curve[0]["auroc"]["change"]["value"] == 0
        assert curve[1]["n_changed"] == len(cases)
    assert sum(done) == len(cases) * len(found)
    # The label shows in the brightness of the scan and in the note: inversion, or no section, costs most.
    assert found["inversion"][1]["brier"] != found["inversion"][0]["brier"]
    assert found[SECTIONS][1]["auroc"]["value"] < found[SECTIONS][0]["auroc"]["value"]


def test_no_more_cases_than_are_needed_and_the_same_each_time(held, monkeypatch):
    monkeypatch.setattr(module, "STRENGTHS", (0.5,))
    monkeypatch.setattr(module, "MOST", 6)
    bundle, cases, truth = held
    found = stress(bundle, cases, truth=truth, seed=3)
    assert all(curve[1]["n_changed"] <= 6 for curve in found.values())
    assert found == stress(bundle, cases, truth=truth, seed=3)


def test_nothing_labelled_is_nothing_to_stress(held):
    bundle, cases, truth = held
    assert stress(bundle, cases, truth=np.full_like(truth, np.nan)) == {}
