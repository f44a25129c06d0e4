"""What holds for every fusion."""

from __future__ import annotations

import pytest
import torch

from medfuse.encoders import Encoded
from medfuse.fusion import FUSIONS, Fusion

MODALITIES = ("image", "text", "tabular")


def make(name: str, task: str = "multiclass") -> Fusion:
    torch.manual_seed(0)
    return FUSIONS[name](widths=dict.fromkeys(MODALITIES, 8), labels=3, task=task).eval()


def batch(*, seed: int = 0, rows: int = 5) -> dict[str, Encoded]:
    generator = torch.Generator().manual_seed(seed)
    lengths = {"image": 6, "text": 4, "tabular": 2}
    return {
        name: Encoded.of(torch.randn(rows, length, 8, generator=generator), torch.ones(rows, length, dtype=torch.bool))
        for name, length in lengths.items()
    }


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("name", FUSIONS)
def test_an_absent_modality_has_exactly_no_influence(name: str, task: str) -> None:
    fusion = make(name, task)
    for absent in MODALITIES:
        gone = torch.tensor([True, False, True, False, True])
        one, other = batch(), batch()
        noise = torch.full_like(other[absent].tokens, torch.nan)
        other[absent] = Encoded.of(torch.where(gone.view(-1, 1, 1), noise, other[absent].tokens), other[absent].mask)
        kept = ~gone
        with torch.no_grad():
            a = fusion({m: e.keep(kept) if m == absent else e for m, e in one.items()})
            b = fusion({m: e.keep(kept) if m == absent else e for m, e in other.items()})
        assert torch.equal(a.vector, b.vector)
        assert a.vector.isfinite().all()
        assert (a.weights[gone, MODALITIES.index(absent)] == 0).all()


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("name", FUSIONS)
def test_nothing_present_is_finite_and_the_same_for_all(name: str, task: str) -> None:
    nothing = torch.zeros(5, dtype=torch.bool)
    with torch.no_grad():
        fused = make(name, task)({m: e.keep(nothing) for m, e in batch().items()})
    assert fused.vector.isfinite().all()
    assert (fused.vector == fused.vector[0]).all()
    assert fused.weights.abs().sum() == 0


@pytest.mark.parametrize("name", FUSIONS)
def test_padding_changes_nothing(name: str) -> None:
    fusion = make(name)
    plain = batch()
    padded = {
        m: Encoded.of(
            torch.cat([e.tokens, torch.full((5, 3, 8), 9.0)], 1), torch.cat([e.mask, torch.zeros(5, 3).bool()], 1)
        )
        for m, e in plain.items()
    }
    with torch.no_grad():
        assert torch.allclose(fusion(plain).vector, fusion(padded).vector, atol=1e-5)


@pytest.mark.parametrize("name", FUSIONS)
def test_the_order_of_tokens_is_no_evidence(name: str) -> None:
    """Scans come in the order of a table; a note's tokens know their place from the text encoder."""
    fusion, plain = make(name), batch()
    turned = {m: Encoded.of(e.tokens.flip(1), e.mask.flip(1)) for m, e in plain.items()}
    with torch.no_grad():
        assert torch.allclose(fusion(plain).vector, fusion(turned).vector, atol=1e-5)


@pytest.mark.parametrize("name", FUSIONS)
def test_every_token_of_every_modality_counts(name: str) -> None:
    fusion, inputs = make(name), batch()
    leaves = {m: e.tokens.requires_grad_() for m, e in inputs.items()}
    fusion(inputs).vector.square().sum().backward()
    for name_, leaf in leaves.items():
        assert (leaf.grad.abs().sum(2) > 0).all(), name_


@pytest.mark.parametrize("name", FUSIONS)
def test_every_modality_can_learn(name: str) -> None:
    fusion = make(name).train()
    inputs = batch()
    leaves = {m: e.tokens.requires_grad_() for m, e in inputs.items()}
    classifier = fusion.classifier()
    logits = classifier(fusion(inputs).vector)
    assert logits.shape == (5, 3)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0, 1])).backward()
    for name_, leaf in leaves.items():
        assert leaf.grad is not None, name_
        assert leaf.grad.abs().sum() > 0, name_


def test_gate_is_its_formula() -> None:
    fusion = make("gate")
    inputs = batch()
    vector = torch.cat([inputs[m].tokens.mean(1) for m in MODALITIES], 1)
    a = torch.softmax(vector @ fusion.gate.weight.T + fusion.gate.bias, 1)
    expected = (a * vector * 24) @ fusion.project.weight.T
    assert torch.allclose(fusion(inputs).vector, expected, atol=1e-5)


def test_late_is_the_mean_of_probabilities() -> None:
    fusion = make("late")
    inputs = batch()
    each = [alone(inputs[m].tokens.mean(1)).softmax(1) for m, alone in zip(MODALITIES, fusion.alone, strict=True)]
    assert torch.allclose(fusion(inputs).vector.exp(), torch.stack(each).mean(0), atol=1e-6)


def test_experts_add_up_in_log_odds_and_weights_scale_them() -> None:
    fusion = make("experts")
    with torch.no_grad():
        fusion.weights.copy_(torch.tensor([[1.0], [0.5], [0.0]]).expand(3, 3))
    inputs = batch()
    said = [expert(inputs[m].tokens.mean(1)) for m, expert in zip(MODALITIES, fusion.experts, strict=True)]
    assert torch.allclose(fusion(inputs).vector, fusion.prior + said[0] + 0.5 * said[1], atol=1e-6)
