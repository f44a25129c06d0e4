"""Logits with labels that are drawn from known probabilities."""

from __future__ import annotations

import numpy as np


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def drawn(task, *, n, weight=1.0, bias=0.0, seed=0, classes=4, blank=0.0):
    """Logits z for which the labels' true logits are `weight * z + bias`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, classes)) * 1.5
    true = logits * weight + bias
    if task == "multiclass":
        labels = np.eye(classes)[(true + rng.gumbel(size=true.shape)).argmax(axis=1)]
    else:
        labels = (rng.random(true.shape) < sigmoid(true)).astype(float)
        labels[rng.random(true.shape) < blank] = np.nan
    return logits, labels
