from __future__ import annotations

import json
from pathlib import Path

import pytest

from medfuse.case import Case
from medfuse.cohort import Cohort


@pytest.fixture
def desk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cohort/`, `predictions.jsonl` and `evaluation/`, without scans and notes."""
    folder = tmp_path_factory.mktemp("desk")
    cases = tuple(Case(case_id, case_id) for case_id in ("a", "b"))
    Cohort(folder / "cohort", "small", "multiclass", ("infection", "embolism"), cases).save()
    line = {
        "case_id": "a",
        "probabilities": {"infection": 0.6, "embolism": 0.4},
        "prediction_set": ["infection"],
        "abstain": False,
        "modalities": [],
        "contributions": {},
        "warnings": [],
        "error": None,
        "bundle": "ab12",
    }
    (folder / "predictions.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "metrics.json").write_text(json.dumps({"summary": {"n_cases": 3}}))
    (folder / "evaluation" / "report.html").write_text("<html></html>")
    return folder
