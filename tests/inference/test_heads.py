"""The heads by ONNX Runtime: every fusion, every pattern of modalities, one and several scans and notes."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medfuse.config import Config
from medfuse.encoders import Column, ImageEncoder, TextEncoder
from medfuse.encoders.word_vectors import WordVectors
from medfuse.errors import EncoderError
from medfuse.fusion import FUSIONS
from medfuse.hierarchy import parents_of
from medfuse.inference import onnx
from medfuse.inference.engines import heads_by
from medfuse.inference.graph import HeadGraph
from medfuse.model import DiagnosisModel, decide_all, patterns

LABELS = ("a", "b", "c")
COLUMNS = (Column("age", 50.0, 10.0), Column("sex", categories=("F", "M")))
IMAGE, TEXT, TOKENS = 24, 12, 4  # widths, and tokens of a scan
FOCAL, ASYMMETRIC = {"loss": {"name": "focal"}}, {"loss": {"name": "asymmetric", "focusing": 4, "margin": 0.05}}
CHAIN = {"b": "a", "c": "b"}


class Scans(torch.nn.Module):
    """Four tokens of a scan; the heads are what is tested."""

    def __init__(self) -> None:
        super().__init__()
        self.grow = torch.nn.Conv2d(3, IMAGE, 16, stride=16)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.grow(pixels)


def make(fusion: str, task: str, *, folds: int = 1, tune: str = "frozen", **rest: Any) -> DiagnosisModel:
    """A model whose weights are all drawn at random, those that start at 0 or 1 too."""
    torch.manual_seed(0)
    hierarchy = rest.pop("hierarchy", {})
    content = {
        "image": {"size": 32, "tune": tune},
        "text": {"encoder": "lsa"},
        "fusion": {"name": fusion, "width": 16, "components": 8},
        "training": {"folds": folds, **rest},
        "hierarchy": hierarchy,
    }
    words = WordVectors(30, TEXT)
    scans = Scans()
    model = DiagnosisModel(
        Config.parse(content, source="test"),
        image=ImageEncoder(scans, width=IMAGE, last=scans, architecture={}),
        text=TextEncoder(words, width=TEXT, last=words, architecture={"model_type": "lsa"}),
        columns=COLUMNS,
        labels=3,
        task=task,  # type: ignore[arg-type]
        parents=parents_of(hierarchy, LABELS) if hierarchy else (),
    )
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point() and not name.startswith(("image", "text")):
                tensor.copy_(torch.randn(tensor.shape) * 0.5)
    return model.eval()


def parts(pattern: tuple[str, ...], draw: torch.Generator, *, scans: int, words: int, learned: bool) -> dict:
    """One case; pixels in place of tokens where the imaging encoder learned."""
    made = {
        "image": torch.rand(scans, 32, 32, generator=draw)
        if learned
        else torch.randn(TOKENS * scans, IMAGE, generator=draw).half(),
        "text": torch.randn(words, TEXT, generator=draw).half(),
        "tabular": torch.tensor([float(torch.randn((), generator=draw)), 1.0 if scans > 1 else torch.nan]),
    }
    return {name: part for name, part in made.items() if name in pattern}


def batches(model: DiagnosisModel) -> list[list[dict]]:
    """Every pattern alone with one and with several scans and notes, then all side by side."""
    draw, learned = torch.Generator().manual_seed(1), model.config.image.tune != "frozen"  # type: ignore[union-attr]
    alone = [
        [parts(pattern, draw, scans=scans, words=words, learned=learned)]
        for pattern, (scans, words) in product(patterns(model.modalities), [(1, 5), (3, 70)])
    ]
    return [*alone, [one for batch in alone for one in batch]]


WAYS: list[tuple[str, str, dict]] = [
    *product(FUSIONS, ("multiclass", "multilabel"), ({},)),
    *product([name for name in FUSIONS if name != "experts"], ("multiclass",), ({"folds": 3}, FOCAL)),
    *product(
        [name for name in FUSIONS if name != "experts"],
        ("multilabel",),
        ({"folds": 2, **ASYMMETRIC}, {"hierarchy": CHAIN}, {"tune": "full"}),
    ),
]


@pytest.mark.parametrize(("fusion", "task", "rest"), WAYS)
def test_every_pattern_has_the_logits_of_torch(fusion: str, task: str, rest: dict, tmp_path: Path) -> None:
    model = make(fusion, task, **rest)
    decide, seen = heads_by("onnx", model, tmp_path), 0.0
    assert len(list(tmp_path.glob("*.onnx"))) == 1  # one file for all of it
    for batch in batches(model):
        wanted, found = decide_all(model, batch), decide(batch)
        np.testing.assert_allclose(found.logits, wanted.logits, atol=1e-4, rtol=0)
        np.testing.assert_allclose(found.vector, wanted.vector, atol=1e-4, rtol=0)
        np.testing.assert_array_equal(found.present, wanted.present)
        seen = max(seen, float(np.ptp(found.logits)))
    assert seen > 0.1  # they do not all say the same


def test_heads_that_say_something_else_are_refused(tmp_path: Path, monkeypatch) -> None:
    model = make("concat", "multiclass")
    heads_by("onnx", model, tmp_path / "good")
    true = HeadGraph.forward

    def other(self: HeadGraph, *inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits, vector = true(self, *inputs)
        return logits + 0.01 * torch.jit.is_tracing(), vector

    monkeypatch.setattr(HeadGraph, "forward", other)
    with pytest.raises(EncoderError, match="the head in ONNX form differs from torch by"):
        heads_by("onnx", model, tmp_path / "bad")
    assert not list((tmp_path / "bad").rglob("*.onnx"))


def test_a_shape_that_was_traced_is_refused(tmp_path: Path) -> None:
    """A graph that fixed the number of tokens fails on the next probe, it is not used for cases of that size alone."""
    graph = onnx.head_graph(HeadGraph(make("gate", "multiclass")))
    fixed = onnx.Graph(graph.what, graph.network, {name: {} for name in graph.inputs}, {}, graph.examples, graph.said)
    with pytest.raises(EncoderError, match="the head cannot be exported"):
        onnx.write(fixed, tmp_path / "fixed.onnx")


def test_other_settings_of_the_same_weights_have_a_file_of_their_own(tmp_path: Path) -> None:
    for rest in ({}, FOCAL):
        heads_by("onnx", make("concat", "multiclass", **rest), tmp_path)
    assert len(list(tmp_path.glob("*.onnx"))) == 2
