from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.resources import shipped

LABELS = ("infection", "embolism", "nothing")
EVIL_SCAN = "<img src=x onerror=alert(1)>.png"
EVIL_NOTE = "![x](http:evil) <script>.txt"
SCRIPT = "<script>alert('note')</script>"


def predicted(case_id: str, *probabilities: float, **rest: Any) -> dict[str, Any]:
    entry = {
        "case_id": case_id,
        "probabilities": dict(zip(LABELS, probabilities, strict=True)) if probabilities else {},
        "prediction_set": ["infection"],
        "abstain": False,
        "modalities": ["image", "text", "tabular"],
        "contributions": {"image": 0.3, "text": 0.12, "tabular": -0.05},
        "warnings": [],
        "error": None,
        "bundle": "ab12",
    }
    return entry | rest


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases (complete, unsure and without scan, failed, without note), their predictions and an evaluation."""
    folder = tmp_path_factory.mktemp("dashboard")
    root = folder / "cohort"
    (root / "scans").mkdir(parents=True)
    (root / "notes").mkdir()
    grey = np.linspace(0, 255, 64 * 48).reshape(64, 48).astype(np.uint8)
    Image.fromarray(grey).save(root / "scans" / EVIL_SCAN)
    Image.fromarray(grey).save(root / "scans" / "plain.png")
    (root / "notes" / EVIL_NOTE).write_text(f"INDICATION: cough {SCRIPT}\nFINDINGS: *consolidation* :red[left]\n")
    (root / "notes" / "plain.txt").write_text("Short of breath since yesterday.")
    label = {"infection": 1, "embolism": 0, "nothing": 0}
    cases = (
        Case(
            "full", "p1", scans=(Scan(root / "scans" / EVIL_SCAN),), notes=(Note(root / "notes" / EVIL_NOTE),),
            values={"spo2": 91.0, "crp": None}, labels=label,
        ),
        Case("no-scan", "p2", notes=(Note(root / "notes" / "plain.txt"),), values={"spo2": None, "crp": 12.0}),
        Case("failed", "p3", scans=(Scan(root / "scans" / "gone.dcm"),), values={"spo2": None, "crp": None}),
        Case("no-note", "p4", scans=(Scan(root / "scans" / "plain.png"),), values={"spo2": None, "crp": None}),
    )  # fmt: skip
    Cohort(
        root, "four cases", "multiclass", LABELS, cases, tabular={"spo2": "number", "crp": "number"},
        urgency={"infection": 0.5, "embolism": 1.0, "nothing": 0.0},
    ).save()  # fmt: skip
    lines = [
        predicted("full", 0.7, 0.2, 0.1, warnings=["scan x: no window in the file"]),
        predicted(
            "no-scan", 0.3, 0.6, 0.1, prediction_set=["embolism", "infection"], abstain=True,
            modalities=["text", "tabular"],
        ),
        predicted(
            "failed", prediction_set=[], abstain=True, modalities=[], contributions={}, error="gone.dcm: <b>no</b>"
        ),
        predicted("no-note", 0.1, 0.1, 0.8, prediction_set=["nothing"], modalities=["image"], contributions={}),
    ]  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines) + "not JSON\n"
    (folder / "predictions.jsonl").write_text(text)
    evaluation = folder / "evaluation"
    evaluation.mkdir()
    figure = {"value": 0.9, "low": 0.85, "high": 0.95}
    metrics = ("auroc", "auprc", "brier", "ece", "log_loss")
    point = {"mean_predicted": 0.2, "observed": 0.25, "n": 8, "low": 0.1, "high": 0.5}
    summary = dict.fromkeys(metrics, figure) | {"n_cases": 20, "n_patients": 18}
    content = {
        "summary": summary | {"best_reachable_auroc": {"image": 0.8, "all": 0.95}},
        "labels": {one: dict.fromkeys(metrics, figure) | {"n_positive": 8, "n_negative": 12} for one in LABELS},
        "confusion": {"labels": list(LABELS), "counts": [[8, 0, 1], [1, 6, 0], [0, 0, 4]]},
        "subgroups": {
            "site": {
                "reference": "<b>A",
                "n_unknown": 2,
                "groups": {
                    "<b>A": {"n_cases": 12, "n_patients": 10} | dict.fromkeys(metrics, figure),
                    "B": {"n_cases": 3, "n_patients": 3, "too_few": "3 patients are too few to say anything"},
                },
            }
        },
        "reliability": {one: [point] for one in LABELS},
    }
    (evaluation / "metrics.json").write_text(json.dumps(content))
    (evaluation / "report.html").write_text("<html>the report</html>")
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "reviews.sqlite"


@pytest.fixture(autouse=True)
def own_main(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit puts the page in place of `__main__`; processes spawned by later tests would then run the page."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def start(made: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens the dashboard on a page, with the reader's name given."""

    def start(page: str = "worklist", *, reader: str = "AB", evaluation: bool = True, **query: str) -> AppTest:
        arguments = ["--cohort", str(made / "cohort"), "--predictions", str(made / "predictions.jsonl")]
        arguments += ["--store", str(store)] + (["--evaluation", str(made / "evaluation")] if evaluation else [])
        monkeypatch.setattr(sys, "argv", ["app.py", *arguments])
        app = AppTest.from_file(str(shipped("dashboard") / "app.py"), default_timeout=30).run()
        app.sidebar.text_input(key="reader").set_value(reader)
        if page != "worklist":
            app.switch_page(f"views/{page}.py")
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception
        return app

    yield start
    st.cache_resource.clear()
