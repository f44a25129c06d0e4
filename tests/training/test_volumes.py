"""CT series, a radiograph and notes in one cohort, from files to a bundle that beats the notes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.inference import Predictor
from medfuse.resources import shipped
from medfuse.synthetic.volume import make_ct_cohort
from medfuse.training import train

RECIPE = shipped("configs") / "ct_volumes.yaml"


def test_a_case_may_hold_volumes_and_pictures(tmp_path: Path, token_cache: Path) -> None:
    cohort = make_ct_cohort(tmp_path / "ct", cases=24, seed=1)
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "ct" / "scans" / "film.png")
    film = replace(cohort.cases[0].scans[0], path=Path("scans/film.png")) if cohort.cases[0].scans else None
    assert film is not None
    cases = [replace(case, scans=(film,)) if number < 3 else case for number, case in enumerate(cohort.cases)]
    cases[3] = replace(cases[3], scans=(*cases[3].scans, film))
    replace(cohort, cases=tuple(cases)).save()
    overrides = ["training.epochs=1", "text=null"]
    bundle = train(
        Config.load(RECIPE, overrides=overrides), Cohort.load(tmp_path / "ct"), tmp_path / "b", cache=token_cache
    )
    predictions = list(Predictor.load(bundle).stream(Cohort.load(tmp_path / "ct").cases))
    assert all(p.error is None and not p.unreadable for p, c in zip(predictions, cases, strict=True) if c.scans)
    assert all(p.modalities == ("image",) for p, c in zip(predictions, cases, strict=True) if c.scans)


@pytest.mark.slow
def test_volumes_and_notes_together_beat_what_the_notes_can_give(tmp_path: Path, token_cache: Path) -> None:
    cohort = make_ct_cohort(tmp_path / "ct", cases=240, seed=0)
    cohort = Cohort.load(cohort.folder)
    config = Config.load(RECIPE)
    predictor = Predictor.load(train(config, cohort, tmp_path / "bundle", cache=token_cache))
    held = cohort.with_splits(config.seed).in_split("test", "calibration")
    truth = cohort.truth()
    assert truth is not None
    answer = np.array([[case.labels[label] for label in cohort.labels] for case in held])
    found = np.array([list(p.probabilities.values()) for p in predictor.stream(held)])
    best = np.array([truth["text"][case.case_id] for case in held])
    assert roc_auc_score(answer, found, average="macro") > roc_auc_score(answer, best, average="macro") + 0.05
