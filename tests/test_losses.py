"""Losses against independent implementations, and what is taken off again against brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchvision.ops import sigmoid_focal_loss

from medfuse.config import LossConfig
from medfuse.losses import Loss

KINDS = {
    "log": Loss(),
    "focal": Loss(2, 2),
    "focal below 1": Loss(0.5, 0.5),
    "asymmetric": Loss(0, 4),
    "both": Loss(1, 4),
}


def drawn(rows: int = 200, labels: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(rows, labels, generator=generator)
    truth = (torch.rand(rows, labels, generator=generator) < 0.3).float()
    return logits, truth, torch.tensor([1.0, 2.0, 0.5])


def test_without_focusing_it_is_torchs_cross_entropy() -> None:
    logits, truth, weights = drawn()
    expected = binary_cross_entropy_with_logits(logits, truth, pos_weight=weights, reduction="none")
    assert torch.allclose(Loss().each(logits, truth, weights), expected, atol=1e-5)
    answer = truth.argmax(1)
    assert torch.allclose(Loss().of_class(logits, answer, weights), cross_entropy(logits, answer, weight=weights))


@pytest.mark.parametrize("focusing", [0.5, 1.0, 2.0, 5.0])
def test_focal_is_torchvisions(focusing: float) -> None:
    logits, truth, _ = drawn()
    found = Loss.of(LossConfig(name="focal", focusing=focusing)).each(logits, truth, torch.ones(3))
    assert torch.allclose(found, sigmoid_focal_loss(logits, truth, alpha=-1, gamma=focusing), atol=1e-5)


def test_focal_of_two_classes_is_focal_of_one_label() -> None:
    logits, truth, _ = drawn(labels=1)
    pair = torch.cat([torch.zeros_like(logits), logits], dim=1)
    found = Loss(2, 2).of_class(pair, truth[:, 0].long(), torch.ones(2))
    assert torch.allclose(found, sigmoid_focal_loss(logits, truth, alpha=-1, gamma=2, reduction="mean"))


def test_asymmetric_is_its_formula_worked_by_hand() -> None:
    loss = Loss.of(LossConfig(name="asymmetric", focusing=4, focusing_positive=1, margin=0.05))
    for p in (0.02, 0.3, 0.9):
        logit = torch.tensor([[math.log(p / (1 - p))]])
        shifted = max(p - 0.05, 0)
        positive, negative = -(1 - p) * math.log(p), -(shifted**4) * math.log(1 - shifted)
        assert float(loss.each(logit, torch.ones(1, 1), torch.ones(1))) == pytest.approx(positive, rel=1e-4)
        assert float(loss.each(logit, torch.zeros(1, 1), torch.ones(1))) == pytest.approx(negative, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [0.5, 1.0, 4.0])
def test_the_logit_of_least_expected_cost_reads_as_the_probability_that_led_to_it(kind: str, weight: float) -> None:
    loss, weights = KINDS[kind], torch.tensor([weight], dtype=torch.float64)
    for p in (0.05, 0.3, 0.5, 0.9):

        def expected(z: float, p: float = p) -> float:
            logits = torch.tensor([[z]], dtype=torch.float64)
            return float(loss.each(logits, torch.full((1, 1), p, dtype=torch.float64), weights))

        z = minimize_scalar(expected, bounds=(-12, 12), method="bounded", options={"xatol": 1e-9}).x
        read = loss.log_odds(torch.tensor([[z]], dtype=torch.float64), weights.log())
        assert float(read.sigmoid()) == pytest.approx(p, abs=2e-4)


@pytest.mark.parametrize("focusing", [0.0, 1.0, 2.0, 4.0])
def test_the_same_under_a_softmax(focusing: float) -> None:
    truth, weights = np.array([0.6, 0.3, 0.1]), torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)

    def expected(z: np.ndarray) -> float:
        logs = torch.tensor(z).log_softmax(0)
        each = -weights * (1 - logs.exp()) ** focusing * logs
        return float((torch.tensor(truth) * each).sum())

    z = minimize(expected, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13}).x
    read = Loss(focusing, focusing).log_odds(torch.tensor(z)[None], weights.log(), multiclass=True)
    assert read.softmax(1)[0].numpy() == pytest.approx(truth, abs=1e-3)


@given(st.sampled_from(sorted(KINDS)), st.floats(-60, 60), st.floats(1e-3, 5))
def test_the_order_of_logits_stays_and_nothing_overflows(kind: str, low: float, step: float) -> None:
    logits = torch.tensor([[low], [low + step]], dtype=torch.float64)
    read = KINDS[kind].log_odds(logits, torch.zeros(1, dtype=torch.float64))
    assert bool(read.isfinite().all())
    assert read[0, 0] < read[1, 0]


@pytest.mark.parametrize("loss", [*KINDS.values(), Loss(0, 4, 0.05), Loss(0, 0.5, 0.1)])
def test_far_logits_give_finite_costs_and_slopes(loss: Loss) -> None:
    logits = torch.tensor([[-90.0, -20.0, 0.0, 20.0, 90.0]], requires_grad=True)
    for truth in (0.0, 1.0):
        cost = loss.each(logits, torch.full_like(logits, truth), torch.ones(5)).sum()
        (slope,) = torch.autograd.grad(cost, logits)
        assert bool(cost.isfinite())
        assert bool(slope.isfinite().all())
    wide = torch.tensor([[90.0, 0.0, -90.0]])
    assert bool(loss.log_odds(wide, torch.zeros(3), multiclass=True).isfinite().all())
