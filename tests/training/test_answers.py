"""Uncertain labels and hierarchies, from the table to a bundle's probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.errors import ConfigError
from medfuse.inference import Predictor
from medfuse.training import fit, train
from medfuse.training.answers import answers, learns_from
from tests.conftest import TINY

LABELS = ("a", "b")
CASES = [
    Case("1", "1", labels={"a": 1, "b": None}, uncertain=frozenset("b")),
    Case("2", "2", labels={"a": None, "b": None}, uncertain=frozenset("a")),
    Case("3", "3", labels={"a": None, "b": 0}),
]


def config(**training: object) -> Config:
    return Config.parse({"training": training}, source="x")


@pytest.mark.parametrize(("policy", "value"), [("ignore", 9), ("zeros", 0), ("ones", 1)])
def test_an_uncertain_label_is_what_the_config_says(policy: str, value: int) -> None:
    found, _ = answers(CASES, LABELS, config(uncertain=policy), ())
    assert found.nan_to_num(9).tolist() == [[1, value], [value, 9], [9, 0]]
    assert [learns_from(case, config(uncertain=policy)) for case in CASES] == [True, policy != "ignore", True]


@pytest.mark.parametrize(("policy", "low", "high"), [("zeros_smoothed", 0, 0.3), ("ones_smoothed", 0.55, 0.85)])
def test_a_smoothed_one_is_drawn_once_from_the_seed(policy: str, low: float, high: float) -> None:
    cases = [CASES[1]] * 500
    found, _ = answers(cases, LABELS, config(uncertain=policy), ())
    drawn = found[:, 0]
    assert low <= float(drawn.min()) < low + 0.02
    assert high - 0.02 < float(drawn.max()) <= high
    assert torch.equal(drawn, answers(cases, LABELS, config(uncertain=policy), ())[0][:, 0])


def test_a_known_hierarchy_comes_before_uncertainty() -> None:
    case = Case("1", "1", labels={"a": 0, "b": None}, uncertain=frozenset("b"))
    assert answers([case], LABELS, config(uncertain="ones"), (-1, 0))[0].tolist() == [[0, 0]]


def test_the_table_keeps_uncertainty_and_no_metric_sees_it(tmp_path: Path) -> None:
    (tmp_path / "cohort.yaml").write_text("name: u\ntask: multilabel\nlabels: [a, b]\n")
    (tmp_path / "cases.csv").write_text("case_id,patient_id,a,b\n1,p,1,-1\n2,q,-1.0,\n3,r,0,2\n")
    cohort = Cohort.load(tmp_path)
    assert [case.uncertain for case in cohort.cases] == [{"b"}, {"a"}, frozenset()]
    assert [list(case.labels.values()) for case in cohort.cases] == [[1, None], [None, None], [0, None]]
    assert [case.labelled for case in cohort.cases] == [True, False, True]
    assert len(cohort.problems) == 1
    assert "should be 0, 1, -1 (uncertain) or blank" in cohort.problems[0]
    cohort.save()
    assert [case.uncertain for case in Cohort.load(tmp_path).cases] == [case.uncertain for case in cohort.cases]


def multilabel(cohort: Cohort) -> Cohort:
    """`ill` is wet or dry; `wet` and `dry` are kinds of it."""
    cases = tuple(
        replace(case, labels={"ill": 1 - case.labels["clear"], "wet": case.labels["wet"], "dry": case.labels["dry"]})
        for case in cohort.cases
    )
    return replace(cohort, task="multilabel", labels=("ill", "wet", "dry"), cases=cases)


def test_a_bundle_with_a_hierarchy_is_coherent_and_learns(
    tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    cohort = multilabel(tiny_cohort)
    cases = [
        replace(case, labels={**case.labels, "ill": 0}) if case.labels["wet"] and case.split == "train" else case
        for case in cohort.cases[:9]
    ]
    against = sum(case.labels["ill"] == 0 and case.labels["wet"] == 1 for case in cases)
    cohort = replace(cohort, cases=(*cases, *cohort.cases[9:]))
    training = {"epochs": 8, "learning_rate": 0.01}
    settings = Config.parse({**TINY, "hierarchy": {"wet": "ill", "dry": "ill"}, "training": training}, source="x")
    bundle = train(settings, cohort, tmp_path / "bundle", cache=token_cache)
    predictor = Predictor.load(bundle)
    assert predictor.bundle.facts["contradictions"] == against > 0
    found = list(predictor.stream(cohort.in_split("test")))
    p = np.array([[one.probabilities[label] for label in cohort.labels] for one in found])
    assert (p[:, 1:] <= p[:, :1]).all()
    truth = np.array([[case.labels[label] for label in cohort.labels] for case in cohort.in_split("test")])
    assert (p * truth).sum() / truth.sum() > (p * (1 - truth)).sum() / (1 - truth).sum() + 0.2


@pytest.mark.parametrize("name", ["focal", "asymmetric"])
def test_other_losses_train_to_probabilities_that_are_right_on_average(
    name: str, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    training = {"epochs": 12, "learning_rate": 0.01, "loss": {"name": name}, "uncertain": "ones"}
    cohort = multilabel(tiny_cohort)
    settings = Config.parse({**TINY, "training": training}, source="x")
    bundle = fit(settings, cohort, work=tmp_path, cache=token_cache)
    found = list(Predictor(bundle).stream(cohort.cases))
    p = np.array([[one.probabilities[label] for label in cohort.labels] for one in found])
    truth = np.array([[case.labels[label] for label in cohort.labels] for case in cohort.cases])
    assert np.abs(p.mean(0) - truth.mean(0)).max() < 0.15


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"training": {"loss": {"name": "asymmetric"}}}, "asymmetric"), ({"hierarchy": {"wet": "dry"}}, "hierarchy")],
)
def test_what_is_for_multilabel_says_so(
    changes: dict, said: str, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=f"{said}.* is for multilabel"):
        fit(Config.parse({**TINY, **changes}, source="x"), tiny_cohort, work=tmp_path, cache=token_cache)
