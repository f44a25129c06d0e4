from __future__ import annotations

import json

import pytest

from medfuse.config import Config
from medfuse.evaluation.ablation import ablate, to_markdown, variants
from tests.conftest import TINY, make_tiny

WORDS = {"image": None, "text": {"encoder": "lsa", "vocabulary": 100}, "fusion": {"name": "experts"}}


def _config(content):
    return Config.parse(content, source="test")


def test_each_variant_differs_in_one_ingredient_and_is_a_config():
    demo = _config({"training": {"folds": 5}})
    found = {one.name: one for one in variants(demo)}
    assert found["without modality dropout"].config.training.modality_dropout == 0
    assert found["without heads by folds"].config.training.folds == 1
    assert found["with equalised scans"].config.image.equalise
    assert found["with focusing loss"].config.training.loss.name == "focal"
    assert found["fusion experts"].config.training.folds == 1
    assert found["notes alone"].config.modalities == ("text",)
    assert found["notes alone"].alone == "text"
    assert found["without notes"].config.modalities == ("image", "tabular")
    assert "fusion cross_attention" not in found  # the recipe itself
    assert "with assertions as words" not in found  # MiniLM never saw them
    assert all(one.config != demo for one in found.values())
    focal = _config({"training": {"loss": {"name": "focal"}}})
    assert {one.name for one in variants(focal, only=("focusing",))} == {"without focusing loss"}


def test_what_a_recipe_has_none_of_is_not_taken_away():
    found = {one.name for one in variants(_config(WORDS))}
    assert "without word vectors in place of MiniLM" in found
    assert "with assertions as words" in found
    assert not found & {"without modality dropout", "without heads by folds", "with equalised scans", "image alone"}
    assert {one.name for one in variants(_config(WORDS), only=("calibrat",))} == {
        "with a chosen calibrator",
        "with calibration by pattern",
    }


def test_a_useless_recipe_is_told_from_a_useful_one_on_the_same_folds(tmp_path):
    cohort = make_tiny(tmp_path / "cohort", cases=48)
    told = []
    found = ablate(
        _config(WORDS),
        cohort,
        folds=2,
        seeds=2,
        only=("without notes", "notes alone", "calibrator"),
        cache=tmp_path / "cache",
        progress=lambda sofar: told.append(list(sofar["rows"])[-1]),
    )
    json.dumps(found, allow_nan=False)
    rows = found["rows"]
    assert told == list(rows) == ["the recipe", "without notes", "notes alone", "with a chosen calibrator"]
    assert found["n_cases"] == 48
    assert found["n_patients"] == 24
    assert rows["the recipe"]["auroc"]["change"]["value"] == 0
    assert rows["without notes"]["auroc"]["change"]["high"] < -0.2  # the label stands in the note, and hardly elsewhere
    assert rows["without notes"]["brier"]["change"]["low"] > 0
    assert abs(rows["notes alone"]["auroc"]["change"]["value"]) < 0.02
    table = to_markdown(found)
    assert table.count("\n") == 6
    assert "| notes alone | " in table


@pytest.mark.slow
def test_heads_that_learn_by_gradient_are_ablated_too(tmp_path, tiny_cohort, token_cache):
    content = TINY | {"text": {"encoder": "lsa", "vocabulary": 100}, "training": {"epochs": 2, "batch_size": 16}}
    found = ablate(
        _config(content), tiny_cohort, folds=2, seeds=1, only=("without modality dropout",), cache=token_cache
    )
    assert set(found["rows"]) == {"the recipe", "without modality dropout"}
