"""A case alone, and the same case in a batch of longer ones: what stands beside it is no evidence."""

from __future__ import annotations

import pytest
import torch

from medfuse.config import Config
from medfuse.encoders import Column, build_image_encoder, build_text_encoder
from medfuse.fusion import FUSIONS
from medfuse.model import DiagnosisModel, collate, decide_all

PER_SCAN = 4  # tokens of a square of 64 pixels


def _model(fusion: str) -> DiagnosisModel:
    settings = {"image": {"size": 64}, "text": {"encoder": "lsa"}, "fusion": {"name": fusion, "width": 16}}
    config = Config.parse(settings, source="test")
    assert config.image is not None
    assert config.text is not None
    image, _ = build_image_encoder(config.image)
    text, _, _ = build_text_encoder(config.text, notes=[f"word{n % 9} word{n % 7} word{n % 5}" for n in range(40)])
    columns = [Column("age"), Column("sex", categories=("F", "M"))]
    torch.manual_seed(0)
    return DiagnosisModel(config, image=image, text=text, columns=columns, labels=3, task="multiclass").eval()


def _case(model: DiagnosisModel, *, scans: int, words: int, seed: int) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    assert model.image is not None
    assert model.text is not None
    parts = {"tabular": torch.tensor([0.5, 1.0])}
    if scans:
        parts["image"] = torch.randn(scans * PER_SCAN, model.image.width, generator=draw).half()
    if words:
        parts["text"] = torch.randn(words, model.text.width, generator=draw).half()
    return parts


@pytest.mark.parametrize("fusion", FUSIONS)
def test_neighbours_in_a_batch_change_nothing(fusion: str) -> None:
    model = _model(fusion)
    shapes = ((1, 5), (3, 40), (0, 12), (2, 0))
    cases = [_case(model, scans=scans, words=words, seed=n) for n, (scans, words) in enumerate(shapes)]
    together = decide_all(model, cases).logits
    for row, case in enumerate(cases):
        assert together[row] == pytest.approx(decide_all(model, [case]).logits[0], abs=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_scans_count_and_their_order_does_not(fusion: str) -> None:
    model = _model(fusion)
    case = _case(model, scans=3, words=6, seed=0)
    scans = case["image"].view(3, PER_SCAN, -1)
    with torch.inference_mode():
        plain, turned, *fewer = (
            model(collate([case | {"image": some.flatten(0, 1)}], model.modalities)).logits
            for some in (scans, scans.flip(0), scans[1:], scans[:2], scans[[0, 2]])
        )
    assert torch.allclose(plain, turned, atol=1e-4)
    assert all(not torch.allclose(plain, one, atol=1e-4) for one in fewer)
