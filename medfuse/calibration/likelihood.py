"""Log likelihoods that stay exact for large logits, and the search for the parameters that make them largest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medfuse.cohort import Task

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


def log_sum_exp(logits: ndarray) -> Float[ndarray, "n 1"]:
    """Log of the sum of exponentials of each row."""
    highest = logits.max(axis=1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))


def log_softmax(logits: ndarray) -> Float[ndarray, "n c"]:
    """Natural logarithm of the softmax of each row."""
    return np.asarray(logits - log_sum_exp(logits))


def log_sigmoid(logits: ndarray) -> ndarray:
    """Natural logarithm of the sigmoid."""
    return np.asarray(-np.logaddexp(0, -logits))


def one_vs_rest(logits: Float[ndarray, "n c"], task: Task) -> Float[ndarray, "n c"]:
    r"""Log odds of each label against all others [N, C].

    Multilabel: the logits. Multiclass: $z_c - \log \sum_{k \ne c} e^{z_k}$, whose sigmoid is the softmax's $p_c$.
    """
    if task == "multilabel":
        return logits
    odds = np.empty_like(logits)
    for place in range(logits.shape[1]):
        odds[:, place] = logits[:, place] - log_sum_exp(np.delete(logits, place, axis=1))[:, 0]
    return odds


def log_loss_of(log_proba: Float[ndarray, "n c"], labels: Float[ndarray, "n c"], task: Task) -> Float[ndarray, " n"]:
    """Log loss of each case [N], natural logarithm: of its label, or the mean over its known labels.

    Args:
        log_proba: Logarithms of the probabilities [N, C].
        labels: 1, 0 or NaN (not known) [N, C]; each case has a known one.
        task: `multiclass` or `multilabel`.
    """
    if task == "multiclass":
        return np.asarray(-np.where(labels == 1, log_proba, 0).sum(axis=1))
    tiny = np.finfo(float).eps
    absent = np.log(np.maximum(-np.expm1(log_proba), tiny))
    each = np.where(labels == 1, -log_proba, -absent)
    return np.asarray(np.nanmean(np.where(np.isnan(labels), np.nan, each), axis=1))


def residual(mapped: ndarray, labels: ndarray, task: Task) -> tuple[float, Float[ndarray, "n c"]]:
    """Mean log loss of calibrated logits and its gradient by them; over cases, or over the labels that are known."""
    if task == "multiclass":
        logarithm = log_softmax(mapped)
        loss = -np.where(labels == 1, logarithm, 0).sum() / len(mapped)
        return float(loss), (np.exp(logarithm) - labels) / len(mapped)
    known = ~np.isnan(labels)
    told = np.where(known, labels, 0.0)
    loss = np.where(known, np.logaddexp(0, mapped) - told * mapped, 0).sum() / known.sum()
    return float(loss), np.where(known, np.exp(log_sigmoid(mapped)) - told, 0) / known.sum()


def minimise(
    loss: Callable[[ndarray], tuple[float, ndarray]],
    start: ndarray,
    *,
    bounds: Sequence[tuple[float | None, float | None]] | None = None,
) -> ndarray:
    """Parameters of least loss; `loss` gives its gradient too and is convex (L-BFGS-B, Byrd et al. 1995)."""
    from scipy.optimize import minimize

    options = {"maxiter": 2000, "ftol": 1e-11, "gtol": 1e-7}
    return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)
