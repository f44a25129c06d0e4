"""Readers' decisions on predictions: where they are stored, in which order cases come, and how the dashboard starts."""

from __future__ import annotations

from medfuse.review.chain import prediction_digest
from medfuse.review.decision import ACTIONS, Action, ConflictError, Region, Review, ReviewError
from medfuse.review.launch import serve
from medfuse.review.predictions import read_predictions
from medfuse.review.store import Progress, ReviewStore
from medfuse.review.worklist import narrow, urgency_basis, worklist

__all__ = [
    "ACTIONS",
    "Action",
    "ConflictError",
    "Progress",
    "Region",
    "Review",
    "ReviewError",
    "ReviewStore",
    "narrow",
    "prediction_digest",
    "read_predictions",
    "serve",
    "urgency_basis",
    "worklist",
]
