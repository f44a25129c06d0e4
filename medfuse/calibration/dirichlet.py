"""Dirichlet calibration: a linear map of the log probabilities, held near the diagonal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.bias_corrected import SPREAD
from medfuse.calibration.calibrator import Calibrator
from medfuse.calibration.likelihood import log_loss_of, log_sigmoid, log_softmax, residual

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)  # λ = μ that are tried, from the weakest
FOLDS = 5
STEPS = 50  # of Newton's method; about eight are taken


class DirichletCalibration(Calibrator):
    r"""$\mathrm{softmax}(W \ln p + b)$ with $p$ the model's probabilities, W and b of least log loss plus ODIR.

    ODIR (off-diagonal and intercept regularisation) is
    $\lambda \frac{1}{k(k-1)} \sum_{i \ne j} w_{ij}^2 + \mu \frac{1}{k} \sum_j b_j^2$ for k labels. λ = μ is the one of
    `STRENGTHS` with the least log loss in a cross-validation inside the cases given. In a multilabel task each label
    is calibrated so by itself, with $p = (1 - p_c, p_c)$.

    ODIR leaves the diagonal free, and a label without a case would be made impossible; so $W - I$ and b have the prior
    of the other biases too, $(\lVert W - I \rVert^2 + \lVert b \rVert^2) / (2 n s^2)$ with s = `SPREAD`, which fades
    with the number of cases n.

    Attributes:
        weight_: W [C, C], or [C, 2, 2] in a multilabel task; the first index is of the result.
        bias_: b [C], or [C, 2].
        strength_: λ = μ, or by label [C].

    Source: Kull et al. 2019, Beyond Temperature Scaling (NeurIPS).
    """

    name = "dirichlet"
    learned = ("weight_", "bias_", "strength_")
    weight_: ndarray
    bias_: ndarray
    strength_: ndarray | float

    @classmethod
    def least_cases(cls, labels: int) -> int:
        """Ten a parameter of W and b."""
        return 10 * labels * (labels + 1)

    def _start(self, labels: int) -> None:
        if self.task == "multiclass":
            self.weight_, self.bias_, self.strength_ = np.eye(labels), np.zeros(labels), STRENGTHS[-1]
        else:
            self.weight_ = np.tile(np.eye(2), (labels, 1, 1))
            self.bias_, self.strength_ = np.zeros((labels, 2)), np.full(labels, STRENGTHS[-1])

    def _fit(self, logits: ndarray, labels: ndarray) -> None:
        if self.task == "multiclass":
            self.weight_, self.bias_, self.strength_ = _cross_validated(log_softmax(logits), labels)
            return
        for place, told in enumerate(labels.T):
            known = ~np.isnan(told)
            if len(set(told[known])) == 2:  # a label whose cases are all alike is left as it is
                two = np.stack([1 - told[known], told[known]], axis=1)
                found = _cross_validated(_two(logits[known, place]), two)
                self.weight_[place], self.bias_[place] = found[0], found[1]
                np.asarray(self.strength_)[place] = found[2]

    def _map(self, logits: ndarray) -> ndarray:
        if self.task == "multiclass":
            return np.asarray(log_softmax(logits) @ self.weight_.T + self.bias_)
        pairs = np.einsum("nck,cjk->ncj", _two(logits), self.weight_) + self.bias_
        return np.asarray(pairs[..., 1] - pairs[..., 0])


def _two(logits: ndarray) -> ndarray:
    """Logarithms of 1 - p and p, along a new last axis."""
    return np.stack([log_sigmoid(-logits), log_sigmoid(logits)], axis=-1)


def _cross_validated(logarithm: ndarray, labels: ndarray) -> tuple[ndarray, ndarray, float]:
    """W, b and λ = μ; with fewer cases than folds the strongest, which keeps W near the diagonal."""
    count = len(logarithm)
    if count < 2 * FOLDS:
        return *_least(logarithm, labels, STRENGTHS[-1]), STRENGTHS[-1]
    fold = np.random.default_rng(0).permutation(count) % FOLDS
    held = np.zeros(len(STRENGTHS))
    for place in range(FOLDS):
        out = fold == place
        found = None
        for index in reversed(range(len(STRENGTHS))):  # each starts where the stronger one ended
            found = _least(logarithm[~out], labels[~out], STRENGTHS[index], start=found)
            mapped = logarithm[out] @ found[0].T + found[1]
            held[index] += log_loss_of(log_softmax(mapped), labels[out], "multiclass").sum()
    best = STRENGTHS[int(np.argmin(held))]
    return *_least(logarithm, labels, best), best


def _least(
    logarithm: Float[ndarray, "n k"],
    labels: Float[ndarray, "n k"],
    strength: float,
    *,
    start: tuple[ndarray, ndarray] | None = None,
) -> tuple[Float[ndarray, "k k"], Float[ndarray, " k"]]:
    """W and b of least penalised loss, by Newton's method.

    The loss is strictly convex; by a gradient alone the search is slow, for log probabilities are nearly collinear.
    """
    count, k = logarithm.shape
    prior = 1 / (2 * count * SPREAD**2)
    inputs = np.hstack([logarithm, np.ones((count, 1))])  # so that [W b] is one matrix [k, k + 1]
    centre = np.hstack([np.eye(k), np.zeros((k, 1))])
    odir = np.hstack([strength / (k * (k - 1)) * (1 - np.eye(k)), np.full((k, 1), strength / k)])

    def loss(found: ndarray) -> tuple[float, ndarray]:
        value, slope = residual(inputs @ found.T, labels, "multiclass")
        value += (odir * found**2).sum() + prior * ((found - centre) ** 2).sum()
        return value, slope.T @ inputs + 2 * odir * found + 2 * prior * (found - centre)

    found = centre if start is None else np.hstack([start[0], start[1][:, None]])
    value, gradient = loss(found)
    for _ in range(STEPS):
        curvature = _curvature(inputs, np.exp(log_softmax(inputs @ found.T))) + np.diag((2 * odir + 2 * prior).ravel())
        step = np.linalg.solve(curvature, gradient.ravel()).reshape(found.shape)
        gain, length = float((gradient * step).sum()), 1.0
        if gain < 1e-12:  # twice what the step could still lower the loss by
            break
        while (new := loss(found - length * step))[0] > value - length * gain / 4 and length > 1e-6:
            length /= 2  # backtracking (Nocedal & Wright 2006, algorithm 3.1)
        found, (value, gradient) = found - length * step, new
    return found[:, :k], found[:, k]


def _curvature(inputs: Float[ndarray, "n d"], probability: Float[ndarray, "n k"]) -> Float[ndarray, "kd kd"]:
    """Second derivatives of the mean log loss by [W b], row by row."""
    (count, d), k = inputs.shape, probability.shape[1]
    blocks = np.empty((k, d, k, d))
    for i in range(k):
        for j in range(i, k):
            weight = probability[:, i] * ((i == j) - probability[:, j]) / count
            blocks[i, :, j] = blocks[j, :, i] = (inputs * weight[:, None]).T @ inputs
    return blocks.reshape(k * d, k * d)
