"""The one number that is explained: a label's logit against the others, or its calibrated probability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medfuse.bundle import Bundle
from medfuse.calibration import Calibration
from medfuse.explain.explanation import Target

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_STEP = 1e-4  # of a logit, over which the calibrator's slope is taken


class Aim:
    r"""Logits [B, C] to the number that is explained [B].

    `logit` is $z_c - \frac{1}{C-1}\sum_{k≠c} z_k$ in a multiclass task: the log odds of the label against the
    (geometric) mean of the others, of two labels the log odds. It is linear in the logits, so that what is linear in
    the model stays so. In a multilabel task it is $z_c$. `probability` is the calibrated probability.

    Args:
        bundle: The bundle.
        label: Place of the label.
        target: `logit` or `probability`.
        pattern: Which modalities the case has (see `medfuse.calibration.pattern_of`).
    """

    def __init__(self, bundle: Bundle, label: int, target: Target, pattern: int) -> None:
        self.calibration = bundle.calibration
        self.label = label
        self.target = target
        self.pattern = pattern
        count = len(bundle.labels)
        against = -1.0 / (count - 1) if bundle.task == "multiclass" and count > 1 else 0.0
        self.direction = torch.full((count,), against)
        self.direction[label] = 1.0

    def __call__(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
        """The number for each row."""
        if self.target == "probability":
            found: Tensor = _Calibrated.apply(logits, self.calibration, self.pattern, self.label)
            return found
        return logits @ self.direction


class _Calibrated(torch.autograd.Function):
    """The calibrated probability, with the slope of any calibrator by central differences."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, calibration: Calibration, pattern: int, label: int) -> Tensor:
        rows = logits.detach().double().numpy()
        count, labels = rows.shape
        steps = np.concatenate([np.zeros((1, labels)), np.eye(labels) * _STEP, -np.eye(labels) * _STEP])
        moved = (rows[:, None] + steps).reshape(-1, labels)
        found = calibration.probability(moved, np.full(len(moved), pattern))[:, label].reshape(count, -1)
        slope = (found[:, 1 : labels + 1] - found[:, labels + 1 :]) / (2 * _STEP)
        ctx.save_for_backward(torch.from_numpy(slope).to(logits.dtype))
        return torch.from_numpy(found[:, 0].copy()).to(logits.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Any) -> tuple[Tensor, None, None, None]:
        (slope,) = ctx.saved_tensors
        return slopes[0].unsqueeze(1) * slope, None, None, None
