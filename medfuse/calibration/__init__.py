"""Probabilities that hold on unseen cases: calibrators and conformal sets, fitted on the calibration split only."""

from __future__ import annotations

from medfuse.calibration.conformal import ConformalSets
from medfuse.calibration.temperature import TemperatureScaling

CALIBRATORS = {"temperature": TemperatureScaling}

__all__ = ["CALIBRATORS", "ConformalSets", "TemperatureScaling"]
