"""Logistic regression without a penalty, with a variance that knows patients: what calibration curves are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

_STEPS = 50
_LARGEST = 30.0  # a coefficient in logits beyond this means that the cases are separated


@dataclass(frozen=True)
class Fitted:
    """A fitted logistic regression.

    Attributes:
        coefficient: [D].
        covariance: Of the coefficients [D, D], over patients.
    """

    coefficient: Float[ndarray, " d"]
    covariance: Float[ndarray, "d d"]


def fit_logistic(
    inputs: Float[ndarray, "n d"], answer: Float[ndarray, " n"], *, member: ndarray, offset: ndarray | float = 0.0
) -> Fitted | None:
    """Maximum likelihood by Newton's method, with the sandwich variance summed by patient (Liang & Zeger 1986).

    The sandwich has the correction G/(G-1) · (N-1)/(N-D) of statsmodels' `cov_type="cluster"`.

    Args:
        inputs: The design [N, D], its column of ones included.
        answer: 1 or 0 [N].
        member: Number of each case's patient [N].
        offset: Added to the linear predictor [N].

    Returns:
        None where there is no finite maximum (one class alone, or classes that the inputs separate) or fewer than two
        patients.
    """
    clusters = len(np.unique(member))
    count, width = inputs.shape
    if clusters < 2 or count <= width or answer.min(initial=1) == answer.max(initial=0):
        return None
    coefficient = np.zeros(width)
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-np.clip(inputs @ coefficient + offset, -700, 700)))
        curvature = inputs.T @ (inputs * (expected * (1 - expected))[:, None])
        if np.linalg.cond(curvature) > 1e12:
            return None
        step = np.linalg.solve(curvature, inputs.T @ (answer - expected))
        coefficient = coefficient + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(coefficient).max() > _LARGEST:
            return None
        if np.abs(step).max() < 1e-9:
            break
    else:
        return None
    score = inputs * (answer - expected)[:, None]
    sums = np.stack([np.bincount(member, weights=column) for column in score.T], axis=1)
    bread = np.linalg.inv(curvature)
    correction = clusters / (clusters - 1) * (count - 1) / (count - width)
    return Fitted(coefficient, correction * bread @ (sums.T @ sums) @ bread)
