"""The search: what it looks at, what it leaves, and that it goes on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medfuse.case import Case
from medfuse.cli import app
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.errors import CohortError, ConfigError
from medfuse.resources import shipped
from medfuse.tuning import Found, Space, search, tune
from tests.conftest import make_tiny

SPACE = {
    "folds": 2,
    "space": {
        "training.epochs": {"low": 1, "high": 3},
        "training.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
        "fusion.dropout": {"choices": [0.0, 0.5]},
    },
}
CONFIG = Config.parse(
    {
        "image": None,
        "text": {"encoder": "lsa"},
        "fusion": {"name": "concat", "width": 8, "dropout": 0.5},
        "training": {"epochs": 1},
    },
    source="test",
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_tiny(tmp_path_factory.mktemp("larger") / "cohort", cases=96)


def run(cohort: Cohort, journal: Path, trials: int, *, space: dict | None = None, config: Config = CONFIG) -> Found:
    cache = journal.parent / "cache"
    return tune(config, Space.model_validate(space or SPACE), cohort, trials=trials, journal=journal, cache=cache)


def test_the_best_is_a_config_that_is_no_worse_than_the_first(cohort: Cohort, tmp_path: Path) -> None:
    found = run(cohort, tmp_path / "j", 4)
    assert found.finished + found.given_up == 4
    assert found.first is not None
    assert found.auroc >= found.first
    assert Config.parse(found.config.model_dump(mode="json"), source="x") == found.config
    assert found.config.fusion.dropout == found.values["fusion.dropout"]
    assert found.config.text == CONFIG.text


def test_cases_of_other_splits_are_never_looked_at(cohort: Cohort, tmp_path: Path) -> None:
    def spoilt(case: Case) -> Case:
        return case if case.split == "train" else replace(case, labels=dict.fromkeys(case.labels), notes=(), values={})

    other = replace(cohort, cases=tuple(map(spoilt, cohort.cases)))
    assert run(cohort, tmp_path / "a", 2) == run(other, tmp_path / "b", 2)


def test_every_trial_is_judged_on_patients_it_did_not_see(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[set[str]] = []
    real = search.fit

    def seen(config: Config, part: Cohort, **given: Any) -> Any:
        patients = {
            split: {c.patient_id for c in part.cases if (c.split == "test") == split} for split in (True, False)
        }
        assert not patients[True] & patients[False]
        held.append(patients[True])
        return real(config, part, **given)

    monkeypatch.setattr(search, "fit", seen)
    run(cohort, tmp_path / "j", 1)
    assert len(held) == 2
    assert held[0] | held[1] == {case.patient_id for case in cohort.in_split("train")}
    assert not held[0] & held[1]


def test_a_stopped_search_goes_on(cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[float] = []
    real = search.fit

    def counted(config: Config, part: Cohort, **given: Any) -> Any:
        if len(judged) == 3:
            judged.append(0.0)
            raise KeyboardInterrupt
        judged.append(config.training.learning_rate)
        return real(config, part, **given)

    monkeypatch.setattr(search, "fit", counted)
    with pytest.raises(KeyboardInterrupt):
        run(cohort, tmp_path / "j", 3)
    found = run(cohort, tmp_path / "j", 3)
    assert found.finished == 3
    assert len(judged) == 2 + 2 + 2 + 2  # the first, half of the second and where it stopped, two more
    assert len({*judged[:3], *judged[4:]}) == 4  # nothing is drawn twice
    assert run(cohort, tmp_path / "j", 3) == found
    assert len(judged) == 8


def test_values_that_do_not_go_together_are_given_up(cohort: Cohort, tmp_path: Path) -> None:
    space = {"folds": 2, "space": {"fusion.name": {"choices": ["experts"]}, "training.folds": {"choices": [2]}}}
    with pytest.raises(ConfigError, match="no trial ran over all folds"):
        run(cohort, tmp_path / "j", 2, space=space)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["space: {training.epoch: {choices: [1]}}"], "did you mean 'epochs'"),
        (["space: {training.epochs: {choices: [none]}}"], "'training.epochs'"),
        (["space: {training.epochs: {low: 3, high: 2}}"], "low should be below high"),
        (["space: {training.epochs: {lowest: 3}}"], "lowest"),
        (["space: {}"], "space"),
        (["folds: [", "x"], "not a readable YAML"),
        (["folds: 3", "spaces: {}"], "spaces"),
    ],
)
def test_a_wrong_space_is_one_clear_line(lines: Sequence[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError) as caught:
        Space.load(tmp_path / "s.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_space_that_comes_with_medfuse_holds_the_demo() -> None:
    space = Space.load(shipped("configs") / "tune.yaml")
    demo = Config.load(shipped("configs") / "demo.yaml")
    assert search.within(demo, space) is not None


def test_the_command_leaves_a_config_that_train_takes_and_writes_over_nothing(cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "start.yaml").write_text(CONFIG.to_yaml())
    (tmp_path / "space.yaml").write_text("folds: 2\nspace: {training.epochs: {low: 1, high: 2}}\n")
    out = tmp_path / "best.yaml"
    arguments = ["tune", str(tmp_path / "start.yaml"), "--cohort", str(cohort.folder), "--out", str(out)]
    arguments += [
        "--space",
        str(tmp_path / "space.yaml"),
        "--trials",
        "1",
        "--cache",
        str(tmp_path / "cache"),
        "--json",
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["finished"] == 1
    assert Config.load(out) == CONFIG
    assert out.read_text().startswith("# medfuse tune: macro AUROC ")
    with pytest.raises(CohortError, match="already there"):
        app(arguments)
    again = CliRunner().invoke(app, [*arguments, "--resume"])
    assert again.exit_code == 0, again.output
