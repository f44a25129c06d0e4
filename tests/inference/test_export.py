"""What is exported says, without torch, what `medfuse classify` says."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from medfuse.bundle import Bundle
from medfuse.calibration import CALIBRATORS, Calibration, ConformalSets, TemperatureScaling
from medfuse.calibration.patterns import PatternCalibrators
from medfuse.case import Note, Scan
from medfuse.cohort import Cohort
from medfuse.encoders import build_text_encoder
from medfuse.errors import CohortError, EncoderError
from medfuse.inference import Predictor, onnx
from medfuse.inference.calibrated import log_probability
from medfuse.inference.export import export_bundle
from medfuse.inference.graph import HeadGraph
from medfuse.model import collate
from medfuse.settings import TextConfig

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def exported(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "exported"
    export_bundle(Bundle.load(tiny_bundle), out)
    return out


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return Predictor.load(tiny_bundle)


def test_the_example_of_the_docs_says_what_classify_says_without_torch(
    exported: Path, predictor: Predictor, tiny_cohort: Cohort, tmp_path: Path
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "export.md").read_text(), re.DOTALL)
    one, other = tiny_cohort.cases[:2]
    shutil.copytree(exported, tmp_path / "exported")
    shutil.copy(one.scans[0].path, tmp_path / "chest.dcm")  # a file is told by its bytes
    shutil.copy(other.scans[0].path, tmp_path / "side.png")
    (tmp_path / "history.txt").write_text("HISTORY: fever and cough.\n")
    (tmp_path / "long.txt").write_text("HISTORY: " + "swollen ankles at night, fever and cough. " * 12)
    scans, notes = ["chest.dcm", "side.png"], ["history.txt", "long.txt"]
    asked = [
        {"scans": scans[:1], "notes": notes[:1], "values": {"age": 61.0}},
        {"scans": scans, "notes": notes, "values": {"age": 50.0, "sex": "F"}},
        {"scans": scans},
        {"notes": notes},
        {"values": {"age": 44.0}},
        {"notes": notes[:1], "values": {"sex": "unheard of", "age": 70.0}},
    ]
    example += "\nimport sys\nassert not {'torch', 'pandas', 'monai'} & set(sys.modules)\n"
    example += "for one in json.loads(sys.argv[1]):\n    print(json.dumps(classify(**one)))\n"
    done = subprocess.run(
        [sys.executable, "-c", example, json.dumps(asked)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    said = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    for one_asked, found in zip(asked, said, strict=True):
        files = {kind: [tmp_path / name for name in one_asked.get(kind, ())] for kind in ("scans", "notes")}
        wanted = predictor.classify_files(**files, values=one_asked.get("values"))  # type: ignore[arg-type]
        assert wanted.error is None
        assert found == pytest.approx(dict(wanted.probabilities), abs=1e-4), one_asked


def test_contributions_and_calibration_by_pattern_are_those_of_classify(
    predictor: Predictor, tiny_cohort: Cohort, tmp_path: Path
) -> None:
    calibration = predictor.bundle.calibration
    hot, cold = (TemperatureScaling.from_dict({**calibration.calibrator.to_dict(), "temperature": t}) for t in (9, 0.2))
    own = PatternCalibrators(calibration.calibrator, {0: cold, 1: hot, 5: cold, 7: hot}, 30.0)
    bundle = replace(predictor.bundle, calibration=replace(calibration, by_pattern=own))
    manifest = export_bundle(bundle, tmp_path / "out")
    cases = [tiny_cohort.cases[0], replace(tiny_cohort.cases[1], notes=()), replace(tiny_cohort.cases[2], scans=())]
    other = Predictor(bundle)
    graph, model = HeadGraph(bundle.model), bundle.model
    with torch.inference_mode():
        given = graph.inputs(collate([one.parts for one in other.encoder.stream(cases)], model.modalities))
    feed = {name: value.numpy() for name, value in zip(graph.names, given, strict=True)}
    run = onnxruntime.InferenceSession(tmp_path / "out" / "head.onnx")
    probabilities, shares = run.run(["probabilities", "contributions"], feed)
    for row, wanted in enumerate(other.stream(cases)):
        found = dict(zip(manifest["labels"], probabilities[row], strict=True))
        assert found == pytest.approx(dict(wanted.probabilities), abs=1e-4)
        top = list(wanted.probabilities.values()).index(max(wanted.probabilities.values()))
        found = dict(zip(manifest["modalities"], shares[row, :, top], strict=True))
        assert found == pytest.approx(dict(wanted.contributions), abs=1e-4)
    assert (shares[1, manifest["modalities"].index("text")] == 0).all()
    assert (shares[2, manifest["modalities"].index("image")] == 0).all()


def test_the_manifest_names_what_is_there(exported: Path, tiny_bundle: Path) -> None:
    manifest = json.loads((exported / "manifest.json").read_text())
    assert {path.name for path in exported.iterdir()} == {"manifest.json", *manifest["files"]}
    for name, told in manifest["files"].items():
        assert hashlib.sha256((exported / name).read_bytes()).hexdigest() == told["sha256"]
        if not name.endswith(".onnx"):
            continue
        assert 0 <= told["difference"] <= 1e-4
        session = onnxruntime.InferenceSession(exported / name)
        kinds = {"float32": "tensor(float)", "int64": "tensor(int64)", "bool": "tensor(bool)"}
        for part in session.get_inputs():
            assert told["inputs"][part.name]["shape"] == part.shape
            assert kinds[told["inputs"][part.name]["type"]] == part.type
        assert [part.name for part in session.get_outputs()] == list(told["outputs"])
    assert manifest["labels"] == list(Bundle.load(tiny_bundle).labels)


def test_a_network_that_says_something_else_is_not_exported(tiny_bundle: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(onnx, "PARITY", 0.0)
    with pytest.raises(EncoderError, match="differs from torch by"):
        export_bundle(Bundle.load(tiny_bundle), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(exported: Path, tiny_bundle: Path) -> None:
    before = (exported / "manifest.json").read_bytes()
    with pytest.raises(CohortError, match="already there"):
        export_bundle(Bundle.load(tiny_bundle), exported)
    assert (exported / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(("name", "task"), [*product(CALIBRATORS, ["multiclass", "multilabel"])])
def test_every_calibrator_is_exported_as_it_is(name: str, task: str) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=300)
    labels = np.eye(3)[truth] if task == "multiclass" else (rng.random((300, 3)) < 0.4).astype(float)
    logits = labels * 2 + rng.normal(size=(300, 3))
    common, own = (CALIBRATORS[name](task).fit(logits[rows], labels[rows]) for rows in (slice(None), slice(90)))  # type: ignore[arg-type]
    sets = ConformalSets(0.9, task).fit(common.predict_proba(logits), labels)  # type: ignore[arg-type]
    new = np.concatenate([rng.normal(size=(40, 3)) * 4, np.full((1, 3), 25.0), [[-25.0, 25.0, 0.0]]])
    if task == "multilabel":  # the scores of calibration cases themselves, at which a curve may have a step
        new = np.concatenate([new, logits[:20]])
    for by_pattern in (None, PatternCalibrators(common, {2: own}, 30.0)):
        calibration = Calibration(common, sets, by_pattern)
        for pattern in (2, 3):
            wanted = calibration.probability(new, np.full(len(new), pattern))
            found = log_probability(calibration, torch.from_numpy(new), pattern).exp().numpy()
            np.testing.assert_allclose(found, wanted, atol=1e-8)


def test_text_in_eight_bits_is_smaller_and_near(tmp_path: Path) -> None:
    encoder, tokenizer, _ = build_text_encoder(TextConfig())
    graph = onnx.text_graph(encoder)
    exact, rough = (onnx.write(graph, tmp_path / name, eight_bit=name == "int8") for name in ("f32", "int8"))
    assert exact < 1e-4 < rough < 1
    assert (tmp_path / "int8").stat().st_size < 0.7 * (tmp_path / "f32").stat().st_size
    (ids, _), *_ = tokenizer.windows("Fever and cough for a week.")
    feed = {"ids": np.array([ids]), "mask": np.ones((1, len(ids)), dtype=bool)}
    one, other = (onnx.runtime(tmp_path / name)(feed)[0] for name in ("f32", "int8"))
    assert 0 < np.abs(one - other).mean() < 0.3 * np.abs(one).mean()


def test_several_parts_of_a_case(exported: Path, predictor: Predictor, tiny_cohort: Cohort) -> None:
    """The engine onnx, which runs the same head, on cases with several scans and notes beside cases without."""
    one, other = tiny_cohort.cases[:2]
    cases = [
        replace(one, scans=(*one.scans, *other.scans), notes=(*one.notes, Note(None, text="HISTORY: cough. " * 40))),
        replace(one, scans=()),
        replace(one, notes=(), values={}),
        replace(one, scans=(Scan(one.scans[0].path),) * 3, notes=(), values={}),
    ]
    by_onnx = Predictor(predictor.bundle, engine="torch")
    by_onnx.use("onnx", exported.parent / "engines")
    assert by_onnx.engine == "onnx"
    for wanted, found in zip(predictor.stream(cases), by_onnx.stream(cases), strict=True):
        assert dict(found.probabilities) == pytest.approx(dict(wanted.probabilities), abs=1e-4)
        assert dict(found.contributions) == pytest.approx(dict(wanted.contributions), abs=1e-4)
        assert all(found.contributions[name] == 0 for name in ("image", "text") if name not in found.modalities)
