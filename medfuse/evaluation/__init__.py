"""Held-out data decide: metrics, intervals, what each modality brings, baselines and the report."""

from __future__ import annotations

from medfuse.evaluation.evaluate import Evaluation, evaluate, evaluate_cohorts
from medfuse.evaluation.folds import cross_validate

__all__ = ["Evaluation", "cross_validate", "evaluate", "evaluate_cohorts"]
