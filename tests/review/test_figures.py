from __future__ import annotations

from medfuse.review.figures import HEADLINE, best_reachable, figure_text, label_table, subgroup_table
from medfuse.review.texts import Texts


def test_figures_that_are_not_there_are_said_to_be_so() -> None:
    assert figure_text({"value": 0.8123, "low": 0.7, "high": 0.9}) == ("0.812", "0.700 to 0.900")
    assert figure_text({"value": 0.8, "low": None, "high": None}) == ("0.800", "no interval")
    assert figure_text({"value": None, "low": None, "high": None, "reason": "x"}) == ("–", "not defined")
    assert figure_text(None) == ("–", "not defined")


def test_best_reachable_is_told_only_where_it_is_known() -> None:
    known = {"auroc": {"value": 0.9}, "best_reachable_auroc": {"image": 0.8, "text": None, "all": 0.95}}
    first, second = best_reachable(known)
    assert "0.950" in first
    assert "95 %" in first
    assert second == "With less evidence the best would be: the image alone 0.800."
    assert best_reachable({"auroc": {"value": 0.9}}) == []


def test_label_table_has_every_metric() -> None:
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    (row,) = label_table({"icu": {"n_positive": 3, "n_negative": 4, "auroc": figure}})
    assert row["AUROC"] == "0.500 (0.400 to 0.600)"
    assert row["ECE"] == "–"
    assert len(row) == 3 + len(HEADLINE)


def test_a_small_group_says_so_in_place_of_figures() -> None:
    figure = {"value": 0.8, "low": 0.7, "high": 0.9}
    big = {"n_cases": 30, "n_patients": 20, "auroc": figure, "brier": figure}
    other = big | {"gap": {"auroc": {"value": -0.1, "low": -0.2, "high": 0.05}}}
    few = {"n_cases": 2, "n_patients": 2, "too_few": "2 patients are too few to say anything"}
    rows = subgroup_table({"reference": "a", "groups": {"a": big, "b": other, "c": few}})
    assert [row["Group"] for row in rows] == ["a", "b", "c"]
    assert rows[1]["AUROC less the largest group’s"] == "-0.100 (-0.200 to 0.050)"
    assert rows[2]["Remark"] == "2 patients are too few to say anything"
    assert "AUROC" not in rows[2]
    assert subgroup_table({"reference": "a", "groups": {"a": big}}, texts=Texts("de"))[0]["Fälle"] == 30
