"""From a bundle and cases to predictions."""

from __future__ import annotations

from medfuse.inference.output import write_predictions
from medfuse.inference.predictor import Predictor
from medfuse.inference.summary import Summary

__all__ = ["Predictor", "Summary", "write_predictions"]
