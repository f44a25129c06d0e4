"""From a bundle and cases to predictions."""

from __future__ import annotations

from medfuse.inference.output import write_predictions
from medfuse.inference.predictor import Predictor

__all__ = ["Predictor", "write_predictions"]
