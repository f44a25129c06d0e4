from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from medfuse.case import Case
from medfuse.errors import CohortError
from medfuse.evaluation.metrics import auroc, brier
from medfuse.evaluation.subgroups import OTHERS, columns_of, subgroups


def _cases(n=240, seed=0):
    """Two labels; at site b the model knows nothing."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size=(n, 2)).astype(float)
    site = np.array(["a", "a", "b"])[np.arange(n) // 2 % 3]
    skill = np.where(site == "a", 2.0, 0.0)[:, None]
    said = 1 / (1 + np.exp(-(skill * (truth - 0.5) + rng.normal(size=(n, 2)))))
    return truth, said, [f"p{i // 2}" for i in range(n)], site


def _found(**changes):
    truth, said, patients, site = _cases()
    given = {
        "truth": truth,
        "probability": said,
        "patients": patients,
        "columns": {"site": list(site)},
        "labels": ("x", "y"),
        "thresholds": np.full(truth.shape, 0.5),
        "draws": 300,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = subgroups(**(given | changes))
    json.dumps(found, allow_nan=False)
    return found


def test_a_group_that_fares_worse_is_seen_with_its_gap():
    truth, said, _, site = _cases()
    found = _found()["site"]
    assert found["reference"] == "a"
    a, b = found["groups"]["a"], found["groups"]["b"]
    assert (a["n_cases"], a["n_patients"], b["n_cases"]) == (160, 80, 80)
    for name, group in (("a", a), ("b", b)):
        assert group["auroc"]["value"] == pytest.approx(auroc(truth[site == name], said[site == name]).mean())
        assert group["brier"]["value"] == pytest.approx(brier(truth[site == name], said[site == name]).mean())
        assert group["auroc"]["low"] < group["auroc"]["value"] < group["auroc"]["high"]
    assert b["gap"]["auroc"]["value"] == pytest.approx(b["auroc"]["value"] - a["auroc"]["value"])
    assert b["gap"]["auroc"]["high"] < 0
    assert "gap" not in a


def test_disparities_by_hand():
    truth, said, _, site = _cases()
    found = _found()["site"]["disparities"]["x"]
    predicted = said[:, 0] >= 0.5
    sensitivity = [predicted[(site == s) & (truth[:, 0] == 1)].mean() for s in "ab"]
    alarms = [predicted[(site == s) & (truth[:, 0] == 0)].mean() for s in "ab"]
    assert found["equal_opportunity_difference"] == pytest.approx(abs(sensitivity[0] - sensitivity[1]))
    worst = max(abs(sensitivity[0] - sensitivity[1]), abs(alarms[0] - alarms[1]))
    assert found["equalized_odds_difference"] == pytest.approx(worst)


def test_what_is_too_small_is_said_in_words_and_not_in_figures():
    site = ["few"] * 8 + ["a"] * 200 + [""] * 32
    found = _found(columns={"site": site})["site"]
    assert found["groups"]["few"] == {
        "n_cases": 8, "n_patients": 4, "too_few": "4 patients are too few to say anything"
    }  # fmt: skip
    assert found["n_unknown"] == 32
    assert "fewer than two groups" in found["disparities"]["x"]["too_few"]
    one_class = np.ones((240, 2))
    assert "too few to say anything" in _found(truth=one_class)["site"]["groups"]["a"]["too_few"]


def test_many_groups_are_taken_together_and_nothing_known_is_nothing():
    assert OTHERS in _found(columns={"id": [str(i) for i in range(240)]}, draws=0)["id"]["groups"]
    blank = _found(truth=np.full((240, 2), np.nan))["site"]
    assert blank["groups"] == {}
    assert _found(draws=0)["site"]["groups"]["a"]["auroc"]["low"] is None


def test_columns_come_from_groups_and_values_in_bands():
    cases = [
        Case(f"c{i}", f"p{i}", values={"age": float(10 * i), "crp": float(i), "sex": "F"}, groups={"site": "n"})
        for i in range(9)
    ]
    cases.append(Case("c9", "p9", values={"age": None, "crp": None, "sex": None}))
    found = columns_of(cases, groups=("site",), by=("crp",))
    assert list(found) == ["site", "age", "sex", "crp"]
    assert found["site"] == ["n"] * 9 + [""]
    assert found["age"][:5] == ["below 18", "below 18", "18 to below 40", "18 to below 40", "40 to below 65"]
    assert found["age"][8:] == ["80 and above", ""]
    assert len(set(found["crp"]) - {""}) == 3
    with pytest.raises(CohortError, match="no column 'colour' to report by; there are age, crp"):
        columns_of(cases, groups=("site",), by=("colour",))
