"""Other engines say what torch says, and `auto` takes one that does."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.config import TextConfig
from medfuse.encoders import build_text_encoder
from medfuse.encoders.threads import remembered
from medfuse.encoders.traceable import TraceableBert
from medfuse.errors import EncoderError
from medfuse.inference import Predictor, engines
from medfuse.inference.engines import choose, run_by
from medfuse.inference.onnx import text_graph
from medfuse.inference.session import Precision, Runtime, session


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("engines")


def test_a_bert_that_can_be_traced_is_the_same_network() -> None:
    encoder, _, _ = build_text_encoder(TextConfig())
    encoder.eval()
    ids = torch.randint(1000, 20000, (3, 40), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 40, dtype=torch.bool)
    mask[1, 7:] = False
    with torch.inference_mode():
        wanted, found = encoder(ids, mask), TraceableBert(encoder.network)(ids, mask)
    torch.testing.assert_close(found[mask], wanted[mask], atol=1e-4, rtol=0)


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_engine_says_what_torch_says(engine: str, tiny_bundle: Path, tiny_cohort: Cohort, folder: Path) -> None:
    bundle = Bundle.load(tiny_bundle)
    wanted = list(Predictor(bundle, engine="torch").stream(tiny_cohort.cases[:9]))
    predictor = Predictor(bundle, engine="torch")
    run_by(engine, predictor.encoder, folder)
    found = list(predictor.stream(tiny_cohort.cases[:9]))
    for one, other in zip(wanted, found, strict=True):
        assert one.case_id == other.case_id
        for label, p in one.probabilities.items():
            assert other.probabilities[label] == pytest.approx(p, abs=1e-3 if engine == "onnx" else engines.PARITY)
    assert list(folder.glob("*.onnx"))


def test_text_of_any_length_in_every_precision(folder: Path) -> None:
    encoder, tokenizer, _ = build_text_encoder(TextConfig())
    encoder.eval()
    ways: tuple[tuple[Runtime, Precision], ...] = (
        ("onnx", "f32"), ("openvino", "f32"), ("onnx", "int8"), ("openvino", "bf16")
    )  # fmt: skip
    exact, other_exact, rough, short = (
        session(text_graph(encoder), folder, by=by, precision=precision) for by, precision in ways
    )
    for words in (3, 60):
        (ids, _), *_ = tokenizer.windows("Fever and cough for a week. " * words)
        given, there = torch.tensor([ids]), torch.ones(1, len(ids), dtype=torch.bool)
        with torch.inference_mode():
            wanted = encoder(given, there)
        torch.testing.assert_close(exact(given, there)[0], wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(other_exact(given, there)[0], wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(short(given, there)[0], wanted, atol=0.1, rtol=0)
        mean, other = wanted.mean(1), rough(given, there)[0].mean(1)
        assert torch.nn.functional.cosine_similarity(mean, other).item() > 0.95
        assert not torch.equal(mean, other)


def test_auto_takes_the_fastest_that_passes_and_remembers_it(tiny_bundle: Path, folder: Path, monkeypatch) -> None:
    bundle = Bundle.load(tiny_bundle)
    import numpy as np

    same, other = np.zeros((2, 3)), np.full((2, 3), 2 * engines.PARITY)
    seconds = {"torch": [3.0], "onnx": [2.0], "int8": [1.0], "openvino": [2.5]}
    monkeypatch.setattr(
        engines, "_judge", lambda *_: (seconds, {"torch": same, "onnx": same, "int8": other, "openvino": same})
    )
    assert choose(bundle, folder) == "onnx"
    monkeypatch.setattr(engines, "_judge", lambda *_: pytest.fail("judged again"))
    assert choose(bundle, folder) == "onnx"
    assert list(remembered(folder / "engines.json").values()) == ["onnx"]


def test_auto_judges_by_the_bundle_itself(tiny_bundle: Path, folder: Path) -> None:
    seconds, probabilities = engines._judge(Bundle.load(tiny_bundle), folder)
    assert set(seconds) == set(engines.ENGINES)
    assert 0 < abs(probabilities["onnx"] - probabilities["torch"]).max() < 1e-3  # not 0: the scans were read
    assert probabilities["torch"].max() > 0


def test_an_unknown_engine_is_refused(tiny_bundle: Path) -> None:
    with pytest.raises(EncoderError, match="no engine 'warp'"):
        Predictor.load(tiny_bundle, engine="warp")


def test_tokens_of_an_engine_are_not_taken_for_those_of_another(
    tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path
) -> None:
    case = tiny_cohort.cases[0]
    Predictor.load(tiny_bundle, cache=tmp_path).classify(case)
    before = len(list(tmp_path.glob("??/*.safetensors")))
    Predictor.load(tiny_bundle, cache=tmp_path, engine="onnx").classify(case)
    assert len(list(tmp_path.glob("??/*.safetensors"))) == 2 * before > 0


def test_a_damaged_export_is_written_again(tiny_bundle: Path, tiny_cohort: Cohort, folder: Path) -> None:
    for path in folder.glob("*.onnx"):
        path.write_bytes(path.read_bytes()[:50])
    predictor = Predictor.load(tiny_bundle, engine="torch")
    run_by("onnx", predictor.encoder, folder)
    assert predictor.classify(tiny_cohort.cases[0]).error is None


def test_openvino_writes_nothing_of_its_own(tiny_bundle: Path, folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from medfuse.inference import Predictor, engines\n"
        "predictor = Predictor.load(sys.argv[1], engine='torch')\n"
        "engines.run_by('openvino', predictor.encoder, Path(sys.argv[2]))\n"
        "import openvino; assert sys.modules['openvino_telemetry'] is None"
    )
    subprocess.run(
        [sys.executable, "-c", code, tiny_bundle, folder], check=True, env={**os.environ, "HOME": str(tmp_path)}
    )
    assert not list(tmp_path.rglob("*"))


def test_threads_share_an_openvino_session(folder: Path) -> None:
    encoder, _, _ = build_text_encoder(TextConfig())
    ids = torch.randint(1000, 20000, (12, 30), generator=torch.Generator().manual_seed(0))
    run = session(text_graph(encoder), folder, by="openvino")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: run(one[None], one[None] > 0)[0][0], ids))
    torch.testing.assert_close(torch.stack(found), run(ids, ids > 0)[0], atol=1e-4, rtol=0)
