"""Eight bits and bfloat16 cost no discrimination on real notes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold

from medfuse.config import TextConfig
from medfuse.encoders import build_text_encoder
from medfuse.importers import import_cohort
from medfuse.inference.onnx import text_graph
from medfuse.inference.session import Precision, Runtime, session
from medfuse.notes import model_text, read_note

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.skipif(not os.environ.get("MEDFUSE_REAL_DATA"), reason="MEDFUSE_REAL_DATA is not set")
def test_auroc_from_short_numbers_is_that_of_single_precision(tmp_path: Path) -> None:
    source = Path(os.environ["MEDFUSE_REAL_DATA"]) / "covid-chestxray"
    cohort = import_cohort("covid-chestxray", source, tmp_path / "cohort", task="covid")
    config = TextConfig()
    encoder, tokenizer, _ = build_text_encoder(config)
    cases = [case for case in cohort.cases if case.labelled and case.notes]
    texts = ["\n".join(model_text(read_note(note.path), config) for note in case.notes) for case in cases]
    first = [torch.tensor([tokenizer.windows(text)[0][0]]) for text in texts]
    truth = np.array([case.labels["covid"] for case in cases])
    patients = [case.patient_id for case in cases]
    areas = []
    ways: tuple[tuple[Runtime, Precision], ...] = (("onnx", "f32"), ("onnx", "int8"), ("openvino", "bf16"))
    for by, precision in ways:
        run = session(text_graph(encoder), tmp_path, by=by, precision=precision)
        features = np.stack([run(one, one >= 0)[0][0].mean(0).double().numpy() for one in first])
        features = (features - features.mean(0)) / features.std()
        said = np.zeros(len(truth))
        for learned, held in GroupKFold(5, shuffle=True, random_state=0).split(features, truth, patients):
            fitted = LogisticRegression(C=0.1, max_iter=2000).fit(features[learned], truth[learned])
            said[held] = fitted.decision_function(features[held])
        areas.append(roc_auc_score(truth, said))
    assert len(cases) > 100
    assert areas[1:] == pytest.approx([areas[0]] * 2, abs=0.005)
