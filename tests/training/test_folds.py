"""Heads by folds: each judges only patients that it did not see, and the bundle averages them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import CohortError, ConfigError
from medfuse.model import DiagnosisModel, decide_all
from medfuse.training import fit, train
from medfuse.training.folds import fit_folds
from tests.training.test_experts import made, model_of

FOLDS = 3
SETTINGS = {
    "image": {"encoder": "efficientnet-lite0", "size": 64},
    "text": {"encoder": "lsa"},
    "fusion": {"name": "concat", "width": 16, "components": 16},
    "training": {"folds": FOLDS, "epochs": 2},
}


def config(**changed: object) -> Config:
    return Config.parse(SETTINGS | changed, source="test")


def several() -> tuple[DiagnosisModel, list[EncodedCase], np.ndarray]:
    one, (encoded, truth) = model_of(labels=3, task="multiclass"), made(cases=60, labels=3, task="multiclass")
    chosen = Config.parse({"training": {"folds": FOLDS}, "fusion": {"width": 8}, "tabular": None}, source="test")
    model = DiagnosisModel(chosen, image=one.image, text=one.text, columns=(), labels=3, task="multiclass").eval()
    return model, encoded, truth


def test_each_head_judges_the_patients_that_it_was_kept_from() -> None:
    model, encoded, truth = several()
    told: dict[int, tuple[set[str], set[str]]] = {}
    seen: list[torch.nn.Module] = []

    def learn(others: list[EncodedCase], held: list[EncodedCase], number: int) -> None:
        told[number] = ({one.case.patient_id for one in others}, {one.case.patient_id for one in held})
        assert len(model.heads) == 1
        seen.append(model.heads[0])

    found = fit_folds(model, encoded, truth, learn, task="multiclass", seed=0, false_alarms=0.05)
    assert list(model.heads) == seen
    assert len(seen) == FOLDS
    assert not any(others & held for others, held in told.values())
    assert set.union(*(held for _, held in told.values())) == {one.case.patient_id for one in encoded}
    heads = model.heads
    for number, (_, held) in told.items():
        rows = [row for row, one in enumerate(encoded) if one.case.patient_id in held]
        model.heads = torch.nn.ModuleList([heads[number]])
        alone = decide_all(model, [encoded[row].parts for row in rows])
        np.testing.assert_allclose(found.decided.logits[rows], alone.logits, rtol=1e-6)
        np.testing.assert_array_equal(found.decided.present[rows], alone.present)


def test_the_outlier_score_is_the_mean_over_heads_and_flags_no_more_than_stated() -> None:
    model, encoded, truth = several()
    found = fit_folds(model, encoded, truth, lambda *_: None, task="multiclass", seed=0, false_alarms=0.2)
    assert found.outliers is not None
    whole = decide_all(model, [one.parts for one in encoded])
    flags = found.outliers.flags(whole.logits[:, -1], whole.vector)
    assert flags.any(axis=1).mean() <= 0.2
    assert found.outliers.flags(whole.logits[:, -1], whole.vector * 50)[:, 1].all()


def test_a_bundle_of_folds_says_the_same_once_loaded(tmp_path: Path, token_cache: Path, tiny_cohort: Cohort) -> None:
    folder = train(config(), tiny_cohort, tmp_path / "bundle", cache=token_cache)
    bundle = Bundle.load(folder)
    assert len(bundle.model.heads) == FOLDS
    assert bundle.facts["how"] == "folds"
    assert bundle.facts["thresholds"]["source"] == "every patient, out of fold"
    again = fit(config(), tiny_cohort, work=tmp_path / "again", cache=token_cache)
    stored, fresh = bundle.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(stored[name], fresh[name]) for name in fresh if name.startswith("heads."))


def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path: Path, token_cache: Path, tiny_cohort: Cohort) -> None:
    whole = fit(config(), tiny_cohort, work=tmp_path / "whole", cache=token_cache)
    begun: list[int] = []

    def stopped(*_: object) -> None:
        begun.append(1)
        if len(begun) == 4:  # of two epochs a fold, the second of the second fold
            raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medfuse.training.gradient.ModelCheckpoint.on_train_epoch_start", stopped, raising=False)
        with pytest.raises(SystemExit):
            fit(config(), tiny_cohort, work=tmp_path / "part", cache=token_cache)
    assert len(begun) == 4
    resumed = fit(config(), tiny_cohort, work=tmp_path / "part", cache=token_cache)
    pairs = zip(whole.model.heads.state_dict().values(), resumed.model.heads.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_fewer_patients_than_folds_is_one_clear_line() -> None:
    model, encoded, truth = several()
    with pytest.raises(CohortError, match=r"training\.folds is 3, but there are labelled cases of 1 patients"):
        fit_folds(model, encoded[:2], truth[:2], lambda *_: None, task="multiclass", seed=0, false_alarms=0.05)


def test_a_learning_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"training\.folds above 1 is for frozen encoders"):
        config(text={"encoder": "rnn"})
