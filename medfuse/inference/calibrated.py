"""Calibrators as a graph knows them: what was learned, applied by torch, so that probabilities can be exported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import softplus

from medfuse.calibration import Calibration, Calibrator
from medfuse.calibration.one_vs_rest import TINY, OneVsRest

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medfuse.cohort import Task


def log_probability(calibration: Calibration, logits: Float[Tensor, "n c"], pattern: int) -> Float[Tensor, "n c"]:
    """Natural logarithms of the calibrated probabilities of cases that all have one pattern, in double precision.

    The same as `Calibration.probability`, whose formulas stand with each calibrator.
    """
    logits, by_pattern = logits.double(), calibration.by_pattern
    common = _log_proba(calibration.calibrator, logits)
    own = None if by_pattern is None or not math.isfinite(by_pattern.worth) else by_pattern.patterns.get(pattern)
    if own is None:
        return common
    assert by_pattern is not None
    weight = own.fitted_on_ / (own.fitted_on_ + by_pattern.worth)
    if own.task == "multiclass":
        return (weight * _log_proba(own, logits) + (1 - weight) * common).log_softmax(1)
    odds = weight * _odds(_log_proba(own, logits)) + (1 - weight) * _odds(common)
    return _log_sigmoid(odds)


def _log_proba(calibrator: Calibrator, logits: Tensor) -> Tensor:
    if isinstance(calibrator, OneVsRest):
        odds, curve = _one_vs_rest(logits, calibrator.task), CURVES[calibrator.name]
        columns = [
            _log_sigmoid(column) if learned is None else curve(_tensors(learned), column).clamp(min=TINY).log()
            for column, learned in zip(odds.unbind(1), calibrator.curves_, strict=True)
        ]
        found = torch.stack(columns, dim=1)
        return found.log_softmax(1) if calibrator.task == "multiclass" else found
    mapped = MAPS[calibrator.name](calibrator, logits)
    return mapped.log_softmax(1) if calibrator.task == "multiclass" else _log_sigmoid(mapped)


def _log_sigmoid(logits: Tensor) -> Tensor:
    return -softplus(-logits)


def _odds(log_proba: Tensor) -> Tensor:
    return log_proba - (1 - log_proba.exp()).clamp(min=TINY).log()


def _one_vs_rest(logits: Tensor, task: Task) -> Tensor:
    """Log odds of each label against all others (see `medfuse.calibration.likelihood.one_vs_rest`)."""
    if task == "multilabel":
        return logits
    labels = range(logits.shape[1])
    rest = [torch.stack([logits[:, other] for other in labels if other != place], dim=1) for place in labels]
    return torch.stack([logits[:, place] - rest[place].logsumexp(1) for place in labels], dim=1)


def _tensors(learned: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: torch.as_tensor(value, dtype=torch.float64) for name, value in learned.items()}


def _dirichlet(calibrator: Any, logits: Tensor) -> Tensor:
    weight, bias = torch.as_tensor(calibrator.weight_), torch.as_tensor(calibrator.bias_)
    if calibrator.task == "multiclass":
        return logits.log_softmax(1) @ weight.T + bias
    two = torch.stack([_log_sigmoid(-logits), _log_sigmoid(logits)], dim=-1)
    pairs = (two.unsqueeze(2) * weight).sum(-1) + bias
    return pairs[..., 1] - pairs[..., 0]


def _isotonic(learned: Mapping[str, Tensor], odds: Tensor) -> Tensor:
    """Linear between the corners, as `numpy.interp`."""
    x, y = learned["odds"], learned["probability"]
    if len(x) == 1:
        return torch.zeros_like(odds) + y
    after = (odds.unsqueeze(1) >= x).long().sum(1).clamp(1, len(x) - 1)
    low, high = x[after - 1], x[after]
    share = ((odds - low) / (high - low)).clamp(0, 1)
    return y[after - 1] * (1 - share) + y[after] * share


def _venn_abers(learned: Mapping[str, Tensor], odds: Tensor) -> Tensor:
    x, end = learned["odds"], torch.tensor([0.0, 1.0], dtype=torch.float64)
    zero = torch.cat([end[:1], learned["zero"]])[(odds.unsqueeze(1) >= x).long().sum(1)]
    one = torch.cat([learned["one"], end[1:]])[(odds.unsqueeze(1) > x).long().sum(1)]
    return one / (1 - zero + one)


MAPS: Mapping[str, Callable[[Any, Tensor], Tensor]] = {
    "temperature": lambda found, logits: logits / found.temperature_,
    "bias_corrected_temperature": lambda found, logits: logits / found.temperature_ + torch.as_tensor(found.bias_),
    "classwise_temperature": lambda found, logits: logits / torch.as_tensor(found.temperature_),
    "vector": lambda found, logits: logits * torch.as_tensor(found.weight_) + torch.as_tensor(found.bias_),
    "dirichlet": _dirichlet,
}
CURVES: Mapping[str, Callable[[Mapping[str, Tensor], Tensor], Tensor]] = {
    "platt": lambda found, odds: _log_sigmoid(found["slope"] * odds + found["intercept"]).exp(),
    "beta": lambda found, odds: _log_sigmoid(
        found["a"] * _log_sigmoid(odds) - found["b"] * _log_sigmoid(-odds) + found["c"]
    ).exp(),
    "isotonic": _isotonic,
    "venn_abers": _venn_abers,
}
