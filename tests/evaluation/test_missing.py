from __future__ import annotations

import json

import numpy as np
import pytest

from medfuse.evaluation.figures import figures
from medfuse.evaluation.missing import RATES, missing_curves, posterior_distance, reachable
from medfuse.synthetic.evidence import LABELS, draw_findings, draw_person, posterior

MODALITIES = ("image", "text", "tabular")
PATTERNS = [tuple(m for bit, m in enumerate(MODALITIES) if number >> bit & 1) for number in range(8)]


@pytest.fixture(scope="module")
def known():
    """Truth [N, C], and the exact posterior for every pattern [N, 8, C] of cases some of which lack their note."""
    rng = np.random.default_rng(0)
    truth, every = [], []
    for number in range(300):
        label, findings = draw_findings(draw_person(rng), rng)
        if number % 10 == 0:
            findings = {**findings, "course": None, "background": None, "onset": None}
        truth.append(np.eye(len(LABELS))[label])
        every.append([posterior(findings, pattern) for pattern in PATTERNS])
    return np.array(truth), np.array(every)


def _best(every, places=9):
    tables = {name: every[:, 1 << place] for place, name in enumerate(MODALITIES)} | {"all": every[:, -1]}
    return {name: np.round(table, places) for name, table in tables.items()}  # as truth.csv holds them


def test_the_posterior_of_every_pattern_follows_from_those_that_the_cohort_keeps(known):
    _, every = known
    np.testing.assert_allclose(reachable(_best(every), MODALITIES), every, atol=1e-4)
    # A model of two modalities in a cohort of three.
    np.testing.assert_allclose(reachable(_best(every), ("image", "tabular")), every[:, [0, 1, 4, 5]], atol=1e-4)


def test_what_is_not_known_is_not_made_up(known):
    best = _best(known[1])
    assert reachable({"all": best["all"]}, MODALITIES) is None
    assert reachable({name: best[name] for name in ("image", "text", "all")}, MODALITIES) is None
    assert reachable(best | {"text": best["text"] * np.nan}, MODALITIES) is None


def test_the_posterior_itself_reaches_all_that_can_be_reached(known):
    truth, every = known
    patients = [f"p{row // 2}" for row in range(len(truth))]
    found = missing_curves(truth=truth, every=every, modalities=MODALITIES, patients=patients, best=every)
    assert list(found) == list(MODALITIES)
    for curve in found.values():
        assert [point["rate"] for point in curve] == list(RATES)
        assert all(point["share"] == 1 and point["posterior_distance"] == 0 for point in curve)
    notes = [point["auroc"]["value"] for point in found["text"]]
    assert notes == sorted(notes, reverse=True)
    assert found["text"][0]["auroc"]["change"]["value"] == 0
    assert found["text"][-1]["auroc"]["change"]["high"] < 0
    json.dumps(found, allow_nan=False)


def test_at_both_ends_a_curve_is_what_the_patterns_say(known):
    truth, every = known
    rng = np.random.default_rng(1)
    said = rng.dirichlet(np.ones(5), size=(len(truth), 8))
    patients = [str(row) for row in range(len(truth))]
    found = missing_curves(truth=truth, every=said, modalities=MODALITIES, patients=patients, best=every)
    first, last = found["text"][0], found["text"][-1]
    assert first["posterior_distance"] == pytest.approx(np.abs(said[:, 7] - every[:, 7]).mean())
    assert last["posterior_distance"] == pytest.approx(np.abs(said[:, 5] - every[:, 5]).mean())
    half = found["text"][2]["posterior_distance"]
    assert half == pytest.approx((first["posterior_distance"] + last["posterior_distance"]) / 2, abs=0.01)


def test_cases_without_a_label_do_not_count_and_one_modality_has_no_curve(known):
    truth, every = known
    shared = {"modalities": MODALITIES, "patients": ["p"] * 150 + [str(row) for row in range(150)]}
    blank = truth.copy()
    blank[:150] = np.nan
    found = missing_curves(truth=blank, every=every, **shared)
    only = missing_curves(
        truth=truth[150:], every=every[150:], modalities=MODALITIES, patients=shared["patients"][150:]
    )
    assert found == only
    assert "share" not in found["image"][0]
    assert missing_curves(truth=truth, every=every[:, :2], modalities=("image",), patients=shared["patients"]) == {}


def test_distance_has_an_interval_over_patients():
    said = np.array([[0.5, 0.5], [0.8, 0.2], [0.4, 0.6]])
    figure = posterior_distance(said, np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]), ["a", "b", "c"])
    assert figure["value"] == pytest.approx(0.4 / 3)
    assert figure["low"] < figure["value"] < figure["high"]


def test_the_curves_are_drawn(known):
    truth, every = known
    patients = [str(row) for row in range(len(truth))]
    curves = missing_curves(truth=truth, every=every, modalities=MODALITIES, patients=patients, best=every)
    panels = figures({"missing": curves})["missing"]
    assert [panel.y[0] for panel in panels] == ["AUROC"] * 3 + ["ECE"] * 3
    assert [line.name for line in panels[1].lines] == ["guessing", "best reachable", "AUROC"]
