"""With everything but one modality gone, the model is no worse than one that was trained on that modality alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.evaluation.ablation import ablate
from medfuse.synthetic import make_cohort

WORSE = 0.03  # of AUROC; a model of one modality is ahead by less than this with 95 % confidence


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_is_left_is_read_as_well_as_by_a_model_of_its_own(tmp_path: Path) -> None:
    make_cohort(tmp_path / "cohort", cases=240, seed=103)
    cohort = Cohort.load(tmp_path / "cohort")
    config = Config.load("configs/demo.yaml", overrides=("fusion.name=experts", "training.folds=1"))
    found = ablate(config, cohort, folds=2, seeds=3, only=("alone",), cache=tmp_path / "cache")
    for name in ("image alone", "notes alone", "values alone"):
        change = found["rows"][name]["auroc"]["change"]
        assert change["high"] < WORSE, (name, change)  # paired, over patients
